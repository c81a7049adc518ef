// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/child_board.h"

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::recording {
namespace {

std::vector<std::string> Heard(ChildBoard& board) {
  std::vector<std::string> heard;
  board.ForEachNew([&](const char* text) { heard.emplace_back(text); });
  return heard;
}

template <typename Body>
void InChild(Body body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    body();
    _exit(0);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

TEST(ChildBoard, TellsTheParentOnce) {
  ChildBoard board;
  ASSERT_TRUE(board.Initialize());
  EXPECT_FALSE(board.HasNews());
  InChild([&] {
    board.AfterFork();
    board.Tell("why");
  });
  EXPECT_TRUE(board.HasNews());
  EXPECT_EQ(Heard(board), std::vector<std::string>{"why"});
  EXPECT_FALSE(board.HasNews());
  EXPECT_TRUE(Heard(board).empty());
}

TEST(ChildBoard, IsBetweenAChildAndItsOwnParent) {
  ChildBoard board;
  ASSERT_TRUE(board.Initialize());
  InChild([&] {
    board.AfterFork();
    InChild([&] {
      board.AfterFork();
      board.Tell("grandchild");
    });
    if (Heard(board) != std::vector<std::string>{"grandchild"}) _exit(1);
    board.Tell("child");
  });
  EXPECT_EQ(Heard(board), std::vector<std::string>{"child"});
}

TEST(ChildBoard, KeepsToItsPlacesAndToText) {
  ChildBoard board;
  ASSERT_TRUE(board.Initialize());
  InChild([&] {
    board.AfterFork();
    board.Tell("a\nb\x1b");
    for (int i = 0; i < 1000; ++i) board.Tell(std::string(1000, 'x').c_str());
  });
  const std::vector<std::string> heard = Heard(board);
  ASSERT_GE(heard.size(), 8U);
  EXPECT_LE(heard.size() * ChildBoard::kTextRoom, 4096U);
  EXPECT_EQ(heard[0], "a?b?");
  EXPECT_EQ(heard[1], std::string(ChildBoard::kTextRoom - 1, 'x'));
  InChild([&] {
    board.AfterFork();
    board.Tell("again");
  });
  EXPECT_EQ(Heard(board), std::vector<std::string>{"again"}) << "places that were heard are free";
}

TEST(ChildBoard, OfAProcessWithoutAParentOrAPageTellsNothing) {
  ChildBoard without;
  without.Tell("nobody");
  without.AfterFork();
  without.Tell("nobody");
  EXPECT_FALSE(without.HasNews());
  EXPECT_TRUE(Heard(without).empty());
  ChildBoard first;
  ASSERT_TRUE(first.Initialize());
  first.Tell("nobody");
  EXPECT_FALSE(first.HasNews());
}

}  // namespace
}  // namespace heapecho::recording

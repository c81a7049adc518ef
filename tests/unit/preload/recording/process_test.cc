// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/process.h"

#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace heapecho::recording {
namespace {

int StatusOf(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ProcessPage, ZeroInitialisedIsForeign) {
  static constinit ProcessPage page;
  EXPECT_EQ(page.Ask(), ProcessState::kForeign);
}

TEST(ProcessPage, TellsAForkedChildOnceAndTheParentNever) {
  ProcessPage page;
  ASSERT_TRUE(page.Initialize());
  EXPECT_EQ(page.Ask(), ProcessState::kOurs);
  const pid_t child = fork();
  if (child == 0) {
    const bool told = page.Ask() == ProcessState::kForked;
    const bool not_yet = page.Ask() == ProcessState::kForeign;
    page.Claim();
    const bool ours = page.Ask() == ProcessState::kOurs;
    _exit(told && not_yet && ours ? 0 : 1);
  }
  EXPECT_EQ(StatusOf(child), 0);
  EXPECT_EQ(page.Ask(), ProcessState::kOurs);
}

TEST(ProcessPage, IsForeignInAVforkedChild) {
  static ProcessPage page;
  ASSERT_TRUE(page.Initialize());
  const pid_t child = vfork();
  if (child == 0) _exit(page.Ask() == ProcessState::kForeign ? 0 : 1);
  EXPECT_EQ(StatusOf(child), 0);
  EXPECT_EQ(page.Ask(), ProcessState::kOurs);
}

}  // namespace
}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/known_path.h"

#include <initializer_list>
#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::stack {
namespace {

constexpr uint64_t kA = 100, kB = 200, kC = 300, kD = 400;

// Asks for each frame from the outermost on, as interning does; appends `node` + depth for those that are not known.
template <uint32_t kRoom>
std::vector<uint32_t> Take(KnownWay<kRoom>& way, std::initializer_list<uint64_t> frames, uint32_t node) {
  std::vector<uint32_t> nodes;
  uint32_t depth = 0;
  for (const uint64_t frame : frames) {
    uint32_t found = way.Find(depth, frame);
    if (found == 0) {
      found = node + depth;
      way.Append(depth, frame, found);
    }
    nodes.push_back(found);
    ++depth;
  }
  return nodes;
}

using Nodes = std::vector<uint32_t>;

TEST(KnownWay, GivesTheNodesOfWhatIsTheSameFromTheOutermostFrameOn) {
  KnownWay<8> way = {};
  EXPECT_EQ(Take(way, {kA, kB, kC}, 10), (Nodes{10, 11, 12}));
  EXPECT_EQ(Take(way, {kA, kB, kC}, 20), (Nodes{10, 11, 12}));
  EXPECT_EQ(Take(way, {kA, kB, kD}, 30), (Nodes{10, 11, 32}));
  EXPECT_EQ(Take(way, {kA, kB, kD, kA}, 40), (Nodes{10, 11, 32, 43}));
}

// The same frame below another one is another node.
TEST(KnownWay, KnowsNothingBehindTheFirstThatDiffers) {
  KnownWay<8> way = {};
  Take(way, {kA, kB, kC, kD}, 10);
  EXPECT_EQ(Take(way, {kA, kD, kC, kD}, 20), (Nodes{10, 21, 22, 23}));
  EXPECT_EQ(Take(way, {kA, kB, kC, kD}, 30), (Nodes{10, 31, 32, 33}));
}

TEST(KnownWay, KnowsTheRestAfterAStackThatEndedWithinIt) {
  KnownWay<8> way = {};
  Take(way, {kA, kB, kC}, 10);
  EXPECT_EQ(Take(way, {kA}, 20), (Nodes{10}));
  EXPECT_EQ(Take(way, {kA, kB, kC}, 30), (Nodes{10, 11, 12}));
}

TEST(KnownWay, HasNoMoreThanItsRoom) {
  KnownWay<2> way = {};
  EXPECT_EQ(Take(way, {kA, kB, kC, kD}, 10), (Nodes{10, 11, 12, 13}));
  EXPECT_EQ(Take(way, {kA, kB, kC, kD}, 20), (Nodes{10, 11, 22, 23}));
}

// A frame that could not be had (a full tree) has no node, and nothing inside of it may take its place.
TEST(KnownWay, HasNoGaps) {
  KnownWay<8> way = {};
  way.Append(0, kA, 10);
  way.Append(2, kC, 12);
  EXPECT_EQ(way.Find(0, kA), 10u);
  EXPECT_EQ(way.Find(1, kC), 0u);
  EXPECT_EQ(way.Find(2, kC), 0u);
}

TEST(KnownPath, ForgetsBothWaysAtAnotherTime) {
  const auto path = std::make_unique<KnownPath>();
  path->BeginAt(1);
  path->native.Append(0, kA, 10);
  path->python.Append(0, kB, 20);
  path->BeginAt(1);
  EXPECT_EQ(path->native.Find(0, kA), 10u);
  EXPECT_EQ(path->python.Find(0, kB), 20u);
  path->BeginAt(2);
  EXPECT_EQ(path->native.Find(0, kA), 0u);
  EXPECT_EQ(path->python.Find(0, kB), 0u);
}

}  // namespace
}  // namespace heapecho::stack

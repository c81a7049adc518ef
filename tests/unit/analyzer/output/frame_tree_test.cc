// SPDX-License-Identifier: Apache-2.0
// A profile's stacks as one tree.
#include "analyzer/output/frame_tree.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/unit/analyzer/output/profiles.h"

namespace heapecho::output {
namespace {

using model::Unit;

// "main:30(a:20 b:10)": names, totals and nesting.
std::string Draw(const FrameTree& tree, Unit unit = Unit::kBytes, uint32_t node = 0) {
  const model::Estimate& total = tree.nodes[node].total;
  std::string out =
      absl::StrCat(node == 0 ? "all" : tree.frames[tree.nodes[node].frame].frame.function, ":",
                   unit == Unit::kBytes ? total.bytes : total.objects);
  std::vector<std::string> below;
  for (uint32_t child = node + 1; child < tree.nodes[node].end; child = tree.nodes[child].end) {
    EXPECT_EQ(tree.nodes[child].parent, node);
    EXPECT_EQ(tree.nodes[child].depth, tree.nodes[node].depth + 1);
    below.push_back(Draw(tree, unit, child));
  }
  return below.empty() ? out : absl::StrCat(out, "(", absl::StrJoin(below, " "), ")");
}

TEST(FrameTree, SharesPrefixesAndAddsUpWhatLiesBelow) {
  const model::Profile profile =
      MakeProfile({{{Native("main", "app"), Native("a", "app")}, {20, 1, 4, 0}},
                   {{Native("main", "app"), Native("b", "app")}, {10, 1, 5, 0}},
                   {{Native("main", "app")}, {1, 1, 7, 0}}});
  const FrameTree tree = BuildFrameTree(profile, Unit::kBytes, false);
  EXPECT_EQ(Draw(tree), "all:31(main:31(a:20 b:10))");
  EXPECT_EQ(tree.nodes[0].total.bytes_variance, 16);
  EXPECT_EQ(tree.nodes[1].self.bytes, 1);
  EXPECT_EQ(tree.max_depth, 2u);
}

TEST(FrameTree, PutsTheLargestSiblingFirstInTheUnitAskedForAndTiesByName) {
  const model::Profile profile = MakeProfile({{{Native("few", "app")}, {50, 1, 0, 0}},
                                              {{Native("many", "app")}, {10, 9, 0, 0}},
                                              {{Native("also", "app")}, {10, 9, 0, 0}}});
  EXPECT_EQ(Draw(BuildFrameTree(profile, Unit::kBytes, false)), "all:70(few:50 also:10 many:10)");
  EXPECT_EQ(Draw(BuildFrameTree(profile, Unit::kObjects, false), Unit::kObjects),
            "all:19(also:9 many:9 few:1)");
}

TEST(FrameTree, BranchesToWorkDoneElsewhereWhereItWasHandedOver) {
  const auto on_behalf = [](model::Frame frame) {
    frame.kind = model::Frame::Kind::kBehalf;
    return frame;
  };
  const model::Frame view = Python("view", "views.py", 7), read = Python("read", "parquet.py", 9);
  const model::Profile profile =
      MakeProfile({{{view, Native("own", "app")}, {10, 1, 0, 0}},
                   {{on_behalf(view), on_behalf(read), Native("pool", "app")}, {20, 1, 0, 0}}});
  const FrameTree tree = BuildFrameTree(profile, Unit::kBytes, false);
  EXPECT_EQ(Draw(tree), "all:30(view:30(read:20(pool:20) own:10))");
  EXPECT_EQ(tree.frames[tree.nodes[1].frame].frame.kind, model::Frame::Kind::kPython);
  EXPECT_EQ(tree.frames[tree.nodes[2].frame].frame.kind, model::Frame::Kind::kBehalf);
}

TEST(FrameTree, TellsLinesApartOnlyWhenAsked) {
  const model::Profile profile = MakeProfile(
      {{{Python("view", "views.py", 7), Native("malloc", "libc.so.6")}, {10, 1, 0, 0}},
       {{Python("view", "views.py", 9), Native("malloc", "libc.so.6")}, {20, 1, 0, 0}}});
  const FrameTree merged = BuildFrameTree(profile, Unit::kBytes, false);
  EXPECT_EQ(Draw(merged), "all:30(view:30(malloc:30))");
  EXPECT_EQ(SourceOf(merged.frames[merged.nodes[1].frame]), "views.py:7–9");
  const FrameTree apart = BuildFrameTree(profile, Unit::kBytes, true);
  EXPECT_EQ(Draw(apart), "all:30(view:20(malloc:20) view:10(malloc:10))");
  EXPECT_EQ(SourceOf(apart.frames[apart.nodes[1].frame]), "views.py:9");
}

TEST(FrameTree, OfEqualStacksInTwoDomainsIsOneBox) {
  const model::Profile profile =
      MakeProfile({{{Native("f", "app")}, {10, 1, 0, 0}, model::Domain::kMalloc},
                   {{Native("f", "app")}, {5, 1, 0, 0}, model::Domain::kArrow}});
  EXPECT_EQ(Draw(BuildFrameTree(profile, Unit::kBytes, false)), "all:15(f:15)");
}

TEST(FrameTree, OfNothingIsItsRoot) {
  const FrameTree tree = BuildFrameTree(model::Profile{}, Unit::kBytes, false);
  ASSERT_EQ(tree.nodes.size(), 1u);
  EXPECT_EQ(tree.nodes[0].end, 1u);
}

TEST(FrameTree, TakesAStackOfAnyDepth) {
  std::vector<model::Frame> frames(200000, Native("recurse", "app"));
  const FrameTree tree =
      BuildFrameTree(MakeProfile({{std::move(frames), {1, 1, 0, 0}}}), Unit::kBytes, false);
  EXPECT_EQ(tree.max_depth, 200000u);
}

}  // namespace
}  // namespace heapecho::output

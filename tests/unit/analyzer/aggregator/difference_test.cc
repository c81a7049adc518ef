// SPDX-License-Identifier: Apache-2.0
// Two profiles side by side.
#include "analyzer/aggregator/difference.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapecho::aggregator {
namespace {

using model::Change;
using model::Estimate;
using model::Frame;
using testing::ElementsAre;

struct Stack {
  std::vector<std::pair<std::string, uint32_t>> functions;  // with lines, root first
  Estimate estimate;
};

// Frames in the order of the profile's promise.
model::Profile ProfileOf(const std::vector<Stack>& stacks) {
  model::Profile profile;
  std::vector<Frame> frames;
  const auto frame_of = [](const auto& function) {
    return Frame{Frame::Kind::kNative, function.first, "a.c", function.second, "app", false};
  };
  for (const Stack& stack : stacks)
    for (const auto& function : stack.functions) frames.push_back(frame_of(function));
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  profile.frames = frames;
  for (const Stack& stack : stacks) {
    model::Sample sample;
    for (const auto& function : stack.functions) {
      const auto at = std::lower_bound(frames.begin(), frames.end(), frame_of(function));
      sample.frames.push_back({static_cast<uint32_t>(at - frames.begin())});
    }
    sample.estimate = stack.estimate;
    sample.samples = 1;
    profile.total += stack.estimate;
    profile.domains[0] += stack.estimate;
    profile.samples.push_back(std::move(sample));
  }
  return profile;
}

model::Difference CompareOf(const model::Profile& before, const model::Profile& after,
                            CompareOptions options = {}, double units_before = 1,
                            double units_after = 1) {
  ComparedSide from, to;
  from.report.profile = before;
  to.report.profile = after;
  from.side.units = units_before;
  to.side.units = units_after;
  return Compare(std::move(from), std::move(to), options);
}

std::vector<std::string> Named(const model::Difference& difference) {
  std::vector<std::string> names;
  for (const model::ChangedGroup& group : difference.functions.groups) {
    names.push_back(std::string(model::ChangeName(group.change)) + " " +
                    difference.profile.frames[group.group.frame.value].function);
  }
  return names;
}

TEST(Difference, TellsNewGoneGrownAndShrunkFromTheSame) {
  const model::Profile before = ProfileOf({{{{"main", 1}, {"gone", 1}}, {500, 5, 0, 0}},
                                           {{{"main", 1}, {"grows", 1}}, {1000, 10, 100, 1}},
                                           {{{"main", 1}, {"shrinks", 1}}, {900, 9, 100, 1}},
                                           {{{"main", 1}, {"stays", 1}}, {9000, 90, 250000, 1}}});
  const model::Profile after = ProfileOf({{{{"main", 1}, {"new", 1}}, {400, 4, 0, 0}},
                                          {{{"main", 1}, {"grows", 1}}, {3000, 30, 100, 1}},
                                          {{{"main", 1}, {"shrinks", 1}}, {200, 2, 100, 1}},
                                          {{{"main", 1}, {"stays", 1}}, {8000, 80, 250000, 1}}});
  // The changed ones by amount, then the others.
  EXPECT_THAT(Named(CompareOf(before, after)),
              ElementsAre("grown grows", "shrunk shrinks", "gone gone", "new new", "same stays"));
  const model::Difference difference = CompareOf(before, after);
  EXPECT_EQ(difference.functions.changed, 4u);
  EXPECT_EQ(difference.step.amount, 200);
  EXPECT_EQ(difference.change, Change::kSame);  // its error is above 700
  EXPECT_EQ(difference.profile.total_before.bytes, 11400);
  EXPECT_EQ(difference.profile.total.bytes, 11600);
}

TEST(Difference, LinesThatMovedAreNoChangeUnlessLinesAreAskedFor) {
  const model::Profile before = ProfileOf({{{{"main", 1}, {"load", 10}}, {1000, 10, 0, 0}},
                                           {{{"main", 1}, {"load", 11}}, {500, 5, 0, 0}}});
  const model::Profile after = ProfileOf({{{{"main", 2}, {"load", 20}}, {1500, 15, 0, 0}}});
  EXPECT_THAT(Named(CompareOf(before, after)), ElementsAre("same load"));
  EXPECT_EQ(CompareOf(before, after).profile.samples.size(), 1u);
  EXPECT_EQ(CompareOf(before, after, {.lines = true}).profile.samples.size(), 3u);
}

TEST(Difference, WhatIsAfterIsScaledToWhatWasBeforeAndItsErrorsToo) {
  const model::Profile before = ProfileOf({{{{"load", 1}}, {1000, 10, 400, 4}}});
  const model::Profile after = ProfileOf({{{{"load", 1}}, {3000, 30, 400, 4}}});
  // A third of the requests before.
  const model::Difference difference = CompareOf(before, after, {}, 100, 300);
  EXPECT_DOUBLE_EQ(difference.profile.total.bytes, 1000);
  EXPECT_DOUBLE_EQ(difference.profile.total.bytes_variance, 400 / 9.0);
  EXPECT_DOUBLE_EQ(difference.profile.samples[0].estimate.objects, 10);
  EXPECT_DOUBLE_EQ(difference.profile.domains[0].objects_variance, 4 / 9.0);
  EXPECT_DOUBLE_EQ(difference.profile.total_before.bytes, 1000);
  EXPECT_THAT(Named(difference), ElementsAre("same load"));
}

TEST(Difference, TheBoundRisesWithTheNumberOfFunctionsThatAreCompared) {
  std::vector<Stack> stacks;
  for (int i = 0; i < 1000; ++i) stacks.push_back({{{"f" + std::to_string(i), 1}}, {10, 1, 1, 1}});
  const model::Profile many = ProfileOf(stacks);
  EXPECT_NEAR(CompareOf(many, many).functions.sigmas, 4.06, 0.01);
  const model::Profile one = ProfileOf({{{{"f", 1}}, {10, 1, 1, 1}}});
  EXPECT_EQ(CompareOf(one, one).functions.sigmas, model::kFewestSigmas);
}

TEST(Difference, WarningsOfBothSidesAreKeptOnceEach) {
  model::Profile before = ProfileOf({}), after = ProfileOf({});
  before.warnings = {"a", "b"};
  after.warnings = {"b", "c"};
  EXPECT_THAT(CompareOf(before, after).profile.warnings, ElementsAre("a", "b", "c"));
}

}  // namespace
}  // namespace heapecho::aggregator

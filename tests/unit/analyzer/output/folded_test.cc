// SPDX-License-Identifier: Apache-2.0
// A profile as folded lines.
#include "analyzer/output/folded.h"

#include "gtest/gtest.h"
#include "tests/unit/analyzer/output/golden.h"
#include "tests/unit/analyzer/output/profiles.h"

namespace heapecho::output {
namespace {

using model::Unit;

TEST(Folded, PutsTheRootFirstAndTheAmountLast) {
  const model::Profile profile = MakeProfile(
      {{{Python("view", "/srv/shop/views.py", 7), Native("malloc", "libc.so.6")}, {100, 3, 0, 0}}});
  EXPECT_EQ(Folded(profile, {}), "view (views.py);malloc (libc.so.6) 100\n");
  EXPECT_EQ(Folded(profile, {Unit::kObjects, false}), "view (views.py);malloc (libc.so.6) 3\n");
  EXPECT_EQ(Folded(profile, {Unit::kBytes, true}), "view (views.py:7);malloc (libc.so.6) 100\n");
}

TEST(Folded, AddsWeightsBeforeItRoundsThem) {
  const model::Profile profile = MakeProfile(
      {{{Python("f", "a.py", 1)}, {0.4, 1, 0, 0}}, {{Python("f", "a.py", 2)}, {0.4, 1, 0, 0}}});
  EXPECT_EQ(Folded(profile, {}), "f (a.py) 1\n");
}

TEST(Folded, LeavesOutWhatRoundsToNothing) {
  EXPECT_EQ(Folded(MakeProfile({{{Native("f", "a")}, {0.4, 1, 0, 0}}}), {}), "");
  EXPECT_EQ(Folded(MakeProfile({{{Native("f", "a")}, {0.5, 1, 0, 0}}}), {}), "f (a) 1\n");
}

TEST(Folded, CannotBeSplitByAName) {
  const model::Profile profile = MakeProfile(
      {{{Native("<[u8; 4] as T>::f", "a;b"), Native("two\nlines\r", "x")}, {5, 1, 0, 0}}});
  EXPECT_EQ(Folded(profile, {}), "<[u8: 4] as T>::f (a:b);two lines  (x) 5\n");
}

TEST(Folded, NamesFramesWithoutAModuleOrFileAlone) {
  EXPECT_EQ(FoldedFrame(Native("0x1234", ""), false), "0x1234");
  EXPECT_EQ(FoldedFrame(Python("f", ""), true), "f");
  EXPECT_EQ(FoldedFrame(Python("f", "a.py", 0), true), "f (a.py)");
  const model::Frame synthetic = {model::Frame::Kind::kSynthetic, "[unknown]", "", 0, "", false};
  EXPECT_EQ(FoldedFrame(synthetic, true), "[unknown]");
}

TEST(Folded, CallsAStackWithoutFramesUnknown) {
  EXPECT_EQ(Folded(MakeProfile({{{}, {7, 1, 0, 0}}}), {}), "[unknown] 7\n");
}

TEST(Folded, OfAServiceIsTheGolden) {
  EXPECT_TRUE(IsGolden("folded/service.folded", Folded(ServiceProfile(), {})));
}

TEST(Folded, OfAComparisonIsWhatGrew) {
  EXPECT_EQ(Folded(ChangedProfile(), {}),
            "main (app);grows (app) 3145728\nmain (app);stays (app) 262144\n");
}

}  // namespace
}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// A comparison as text, as JSON and as folded lines.
#include "analyzer/output/difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tests/unit/analyzer/output/golden.h"
#include "tests/unit/analyzer/output/profiles.h"

namespace heapecho::output {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A service before and after a release: one function leaks, one is gone, one stays.
model::Difference Release() {
  model::Difference difference;
  difference.before.scope = "shop on web-1: live bytes of 1 recording";
  difference.after.scope = "shop on web-2: live bytes of 2 recordings";
  difference.before.units = 1000;
  difference.after.units = 2000;
  difference.per = "requests";
  difference.profile = ChangedProfile();
  difference.step = {2.25 * 1024 * 1024, 524288, 4.5};
  difference.change = model::Change::kGrown;
  const auto group = [&](uint32_t sample, model::Change change, double sigmas) {
    const model::Sample& of = difference.profile.samples[sample];
    model::SiteGroup site{of.frames.back(), of.domain,  of.estimate, 0,
                          of.samples,       {{sample}}, of.before};
    const double step = of.estimate.bytes - of.before.bytes;
    difference.functions.groups.push_back({std::move(site), {step, step / sigmas, sigmas}, change});
  };
  group(1, model::Change::kGrown, 6);
  group(0, model::Change::kGone, -model::kMostSigmas);
  group(2, model::Change::kSame, 0.5);
  difference.functions.changed = 2;
  difference.functions.sigmas = 3;
  return difference;
}

TEST(DifferenceText, OfAReleaseIsTheGolden) {
  EXPECT_TRUE(IsGolden("difference/release.txt", DifferenceText(Release())));
}

TEST(DifferenceJson, OfAReleaseIsTheGoldenAndParses) {
  const std::string json = DifferenceJson(Release());
  EXPECT_TRUE(IsGolden("difference/release.json", json));
  const auto parsed = nlohmann::json::parse(json);
  EXPECT_EQ(parsed["functions"].size(), 3u);
  EXPECT_EQ(parsed["functions"][0]["change"], "grown");
  EXPECT_EQ(parsed["scale"], 0.5);
}

TEST(DifferenceJson, HoldsTheSitesThatChangedMostFirstAndNoMoreThanAsked) {
  const auto parsed = nlohmann::json::parse(DifferenceJson(Release(), 1));
  ASSERT_EQ(parsed["sites"].size(), 1u);
  EXPECT_EQ(parsed["sites"][0]["frames"][0]["function"], "grows");
}

TEST(DifferenceFolded, HasBothAmountsBehindEachStack) {
  EXPECT_EQ(DifferenceFolded(Release(), false),
            "main (app);gone (app) 1048576 0\n"
            "main (app);grows (app) 1048576 4194304\n"
            "main (app);stays (app) 2097152 2359296\n");
}

TEST(DifferenceText, SaysOfWhatTheErrorsAllowToBeChanceThatItIsTheSame) {
  EXPECT_EQ(StepText({-2048, 4096, -0.5}, model::Change::kSame, 10240, 8192, model::Unit::kBytes),
            "the same within the error (-2.00 KiB ± 4.00 KiB)");
  EXPECT_EQ(StepText({-5120, 1024, -5}, model::Change::kShrunk, 10240, 5120, model::Unit::kBytes),
            "shrunk by 5.00 KiB ± 1.00 KiB (-50.0 %), 5.0 standard errors");
  EXPECT_EQ(StepText({7, 0, model::kMostSigmas}, model::Change::kNew, 0, 7, model::Unit::kObjects),
            "grown by 7 ± 0 objects, without doubt");
}

TEST(DifferenceText, HoldsNoControlCharacterOfARecording) {
  model::Difference hostile = Release();
  hostile.before.scope = "a\nb\x1b[31m";
  for (model::Frame& frame : hostile.profile.frames) frame.function = "f\x1b\n";
  hostile.profile.warnings = {"w\n\x07"};
  for (const char c : DifferenceText(hostile))
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  EXPECT_THAT(DifferenceText(hostile), Not(HasSubstr("a\nb")));
}

}  // namespace
}  // namespace heapecho::output

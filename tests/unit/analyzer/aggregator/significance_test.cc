// SPDX-License-Identifier: Apache-2.0
// What differs for sure, and the bounds of `check`: against counting, and against programs that are
// sampled a thousand times.
#include "analyzer/aggregator/significance.h"

#include <cmath>
#include <limits>
#include <random>

#include "analyzer/aggregator/gate.h"
#include "gtest/gtest.h"

namespace heapecho::aggregator {
namespace {

using model::Change;
using model::Estimate;
using model::Unit;

TEST(Significance, KnowsTheNormalDistribution) {
  // Published quantiles.
  EXPECT_NEAR(SigmasExceededWith(0.5), 0, 1e-9);
  EXPECT_NEAR(SigmasExceededWith(0.025), 1.959964, 1e-6);
  EXPECT_NEAR(SigmasExceededWith(0.01), 2.326348, 1e-6);
  EXPECT_NEAR(SigmasExceededWith(1e-9), 5.997807, 1e-6);
}

TEST(Significance, ErrorsOfBothSidesAddUp) {
  const model::Step step = StepOf({100, 10, 9, 1}, {150, 12, 16, 3}, Unit::kBytes);
  EXPECT_EQ(step.amount, 50);
  EXPECT_EQ(step.error, 5);
  EXPECT_EQ(step.sigmas, 10);
  const model::Step objects = StepOf({100, 10, 9, 1}, {150, 8, 16, 3}, Unit::kObjects);
  EXPECT_EQ(objects.amount, -2);
  EXPECT_EQ(objects.error, 2);
  EXPECT_EQ(objects.sigmas, -1);
}

TEST(Significance, OneSampledBlockThatIsNewIsNoNews) {
  // One block of 1 KiB sampled at an interval of 512 KiB: weight 512.5, variance w^2 (1 - p).
  const Estimate one{524800, 512.5, 524800.0 * 524800.0 * 0.998, 512.5 * 512.5 * 0.998};
  EXPECT_EQ(ChangeOf({}, one, Unit::kBytes, 3), Change::kSame);
  EXPECT_NEAR(StepOf({}, one, Unit::kBytes).sigmas, 1, 0.01);
}

TEST(Significance, WhatIsRecordedWithoutErrorIsSureHoweverFewBlocksItIs) {
  EXPECT_EQ(ChangeOf({}, {1e6, 1, 0, 0}, Unit::kBytes, 5), Change::kNew);
  EXPECT_EQ(ChangeOf({1e6, 1, 0, 0}, {}, Unit::kBytes, 5), Change::kGone);
  EXPECT_EQ(ChangeOf({1e6, 1, 0, 0}, {2e6, 2, 0, 0}, Unit::kBytes, 5), Change::kGrown);
  EXPECT_EQ(ChangeOf({2e6, 2, 0, 0}, {1e6, 1, 0, 0}, Unit::kBytes, 5), Change::kShrunk);
  EXPECT_EQ(ChangeOf({2e6, 2, 0, 0}, {2e6, 2, 0, 0}, Unit::kBytes, 5), Change::kSame);
  EXPECT_EQ(StepOf({}, {1, 1, 0, 0}, Unit::kBytes).sigmas, model::kMostSigmas);
}

TEST(Gate, TakesPercentagesAndSizesAndNamesWhatIsWrong) {
  const auto bounds = ParseBounds("live+10%,peak+64MiB,allocated+1.5K,live+0");
  ASSERT_TRUE(bounds.ok());
  ASSERT_EQ(bounds->size(), 4u);
  EXPECT_EQ((*bounds)[0].value, model::Value::kLive);
  EXPECT_EQ((*bounds)[0].percent, 10);
  EXPECT_EQ((*bounds)[1].value, model::Value::kPeak);
  EXPECT_EQ((*bounds)[1].bytes, 64 << 20);
  EXPECT_EQ((*bounds)[2].value, model::Value::kAllocated);
  EXPECT_EQ((*bounds)[2].bytes, 1536);
  EXPECT_EQ((*bounds)[3].bytes, 0);
  for (const char* wrong :
       {"", "live", "live+", "live+%", "live+x%", "live-10%", "live+-1%", "dead+1%", "live+10%,",
        "live+inf", "live+nan%", "live+1e999", "live+10 apples"}) {
    const auto refused = ParseBounds(wrong);
    EXPECT_FALSE(refused.ok()) << wrong;
  }
  EXPECT_NE(ParseBounds("live+10%,dead+1%").status().message().find("dead+1%"),
            absl::string_view::npos);
}

TEST(Gate, AllowsWhatTheBoundAllows) {
  const Bound percent = ParseBounds("live+10%")->front();
  EXPECT_FALSE(Judge(percent, {1000, 1, 0, 0}, {1100, 1, 0, 0}, 100).failed);
  EXPECT_TRUE(Judge(percent, {1000, 1, 0, 0}, {1101, 1, 0, 0}, 100).failed);
  const Bound size = ParseBounds("live+100")->front();
  EXPECT_FALSE(Judge(size, {1000, 1, 0, 0}, {1100, 1, 0, 0}, 100).failed);
  EXPECT_TRUE(Judge(size, {1000, 1, 0, 0}, {1101, 1, 0, 0}, 100).failed);
  // Where nothing was held before, whatever is held now is above 10 % of it.
  EXPECT_TRUE(Judge(percent, {}, {1101, 1, 0, 0}, 100).failed);
}

// What a run is estimated at that holds `count` blocks of `size` bytes, sampled at `interval`.
Estimate Sampled(std::mt19937_64& random, int count, double size, double interval) {
  const double p = 1 - std::exp(-size / interval);
  const int hits = std::binomial_distribution<int>(count, p)(random);
  const double weight = 1 / p;
  return {hits * size * weight, hits * weight, hits * size * size * weight * weight * (1 - p),
          hits * weight * weight * (1 - p)};
}

// The share of 20,000 checks of runs of which the later one holds `growth` times as many blocks
// that fail. A fixed seed: it is the same share each time.
double Failing(const Bound& bound, int blocks, double growth, double odds) {
  std::mt19937_64 random(17);
  constexpr int kRuns = 20000;
  int failed = 0;
  for (int i = 0; i < kRuns; ++i) {
    const Estimate before = Sampled(random, blocks, 1000, 50000);
    const Estimate after =
        Sampled(random, static_cast<int>(std::lround(blocks * growth)), 1000, 50000);
    failed += Judge(bound, before, after, odds).failed;
  }
  return static_cast<double>(failed) / kRuns;
}

TEST(Gate, FailsAtItsBoundAsOftenAsItsOddsSay) {
  const Bound bound = ParseBounds("live+10%")->front();
  // 200 samples a side. The normal is an approximation of the tail: half to twice the odds.
  EXPECT_GT(Failing(bound, 10000, 1.1, 100), 0.005);
  EXPECT_LT(Failing(bound, 10000, 1.1, 100), 0.02);
  EXPECT_GT(Failing(bound, 10000, 1.1, 20), 0.035);
  EXPECT_LT(Failing(bound, 10000, 1.1, 20), 0.065);
  EXPECT_LT(Failing(bound, 10000, 1.0, 100), 0.002);  // without growth hardly ever
}

TEST(Gate, DetectsWhatItSaysThatItDetects) {
  const Bound bound = ParseBounds("live+10%")->front();
  std::mt19937_64 random(18);
  const Estimate typical = Sampled(random, 10000, 1000, 50000);
  const BoundResult result = Judge(bound, typical, typical, 100);
  const double growth = 1 + result.detectable / typical.bytes;
  EXPECT_GT(Failing(bound, 10000, growth, 100), 0.97);
  EXPECT_LT(Failing(bound, 10000, 1 + (growth - 1) / 2, 100), 0.8);
}

TEST(Significance, AListInWhichNothingChangedSeldomNamesAnything) {
  // 50 functions, each with 2 to 100 samples a side, 2,000 comparisons.
  std::mt19937_64 random(19);
  const double bound = SigmasExceededWith(model::kChanceOfAFalseName / 2 / 50);
  int named = 0;
  for (int i = 0; i < 2000; ++i) {
    bool any = false;
    for (int function = 1; function <= 50; ++function) {
      const Estimate before = Sampled(random, 100 * function, 1000, 50000);
      const Estimate after = Sampled(random, 100 * function, 1000, 50000);
      any = any || ChangeOf(before, after, Unit::kBytes, bound) != Change::kSame;
    }
    named += any;
  }
  EXPECT_LT(named, 2000 * model::kChanceOfAFalseName * 1.5);
  EXPECT_GT(named, 0);  // the bound is no wall
}

}  // namespace
}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "preload/sampler/interval.h"

#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace heapecho::sampler {
namespace {

constexpr uint64_t kSecondNs = 1000000000;
constexpr uint64_t kOld = 1000 * kSecondNs;  // a process of that much CPU time has its first seconds behind it

// A process whose samples cost 2 us each and which allocates a fixed amount per second of CPU.
uint64_t SettleAt(double bytes_per_cpu_second, uint64_t interval) {
  AutoInterval control = {};
  for (int i = 0; i < 200; ++i) {
    const double samples = bytes_per_cpu_second / static_cast<double>(interval);
    interval = control.Next(interval, static_cast<uint64_t>(samples * 2000), kSecondNs, kOld, kAutoSmallest);
  }
  return interval;
}

TEST(AutoInterval, SettlesWhereSamplingCostsItsShare) {
  // 0.3 % of a second is 3 ms, 1,500 samples: 1.5 GB a second wants an interval of 1 MB.
  EXPECT_NEAR(static_cast<double>(SettleAt(1.5e9, kAutoFirst)), 1e6, 1e4);
  EXPECT_NEAR(static_cast<double>(SettleAt(1.5e9, kAutoLargest)), 1e6, 1e4);
}

TEST(AutoInterval, StaysWithinItsLimits) {
  EXPECT_EQ(SettleAt(1, kAutoFirst), kAutoSmallest);
  EXPECT_EQ(SettleAt(1e13, kAutoFirst), kAutoLargest);
}

TEST(AutoInterval, NeverFallsBelowWhatThinningAskedFor) {
  AutoInterval control = {};
  EXPECT_EQ(control.Next(1 << 20, 0, kSecondNs, kOld, 1 << 20), 1u << 20);
  EXPECT_EQ(control.Next(32 << 20, 0, kSecondNs, kOld, 32 << 20), 32u << 20);
}

TEST(AutoInterval, MovesByAFactorOfTwoAtMost) {
  AutoInterval control = {};
  EXPECT_EQ(control.Next(1 << 20, kSecondNs, kSecondNs, kOld, kAutoSmallest), 2u << 20);
  AutoInterval other = {};
  EXPECT_EQ(other.Next(1 << 20, 0, kSecondNs, kOld, kAutoSmallest), 1u << 19);
}

TEST(AutoInterval, StaysWhenNoCpuTimeWasSeen) {
  AutoInterval control = {};
  EXPECT_EQ(control.Next(1 << 20, 5, 0, kOld, kAutoSmallest), 1u << 20);
}

// One event in four is timed, and stands for all. 20 us an event at 60 ms of CPU a look: the share allows nine.
TEST(AutoInterval, FewTimedEventsDoNotThrowItAbout) {
  AutoInterval control = {};
  std::minstd_rand random(5);
  uint64_t interval = 4 << 20;
  double log_sum = 0, log_squares = 0;
  constexpr int kLooks = 2000, kTimed = 4;
  for (int i = 0; i < kLooks; ++i) {
    std::poisson_distribution<int> count(9.0 / kTimed * (4 << 20) / static_cast<double>(interval));
    interval = control.Next(interval, static_cast<uint64_t>(count(random)) * kTimed * 20000, 60000000, kOld, kAutoSmallest);
    const double log = std::log2(static_cast<double>(interval) / (4 << 20));
    log_sum += log;
    log_squares += log * log;
  }
  const double mean = log_sum / kLooks;
  EXPECT_NEAR(mean, 0, 0.25);
  // By one look alone it was a factor of two up or down each time.
  EXPECT_LT(std::sqrt(log_squares / kLooks - mean * mean), 0.7);
}

TEST(AutoInterval, TheBeginningMayCostSoMuchMoreInAllAndHalfOfItSoon) {
  double extra = 0, soon = 0;
  constexpr uint64_t kStep = kSecondNs / 100;
  for (uint64_t cpu = 0; cpu < kOld; cpu += kStep) {
    extra += (AutoShare(cpu + kStep / 2) - kAutoShare) * static_cast<double>(kStep) / 1e9;
    if (static_cast<double>(cpu + kStep) <= kAutoFirstHalf * 1e9) soon = extra;
  }
  EXPECT_NEAR(soon, kAutoFirstSeconds / 2, 0.0005);
  EXPECT_NEAR(extra, kAutoFirstSeconds, 0.0005);
  EXPECT_NEAR(AutoShare(kOld), kAutoShare, kAutoShare / 100);
}

}  // namespace
}  // namespace heapecho::sampler

// SPDX-License-Identifier: Apache-2.0
#include "preload/sampler/interval.h"

#include "gtest/gtest.h"

namespace heapecho::sampler {
namespace {

// A process whose samples cost 2 us each and which allocates a fixed amount per second of CPU.
uint64_t SettleAt(double bytes_per_cpu_second, uint64_t interval) {
  for (int i = 0; i < 40; ++i) {
    const double samples = bytes_per_cpu_second / static_cast<double>(interval);
    interval = NextAutoInterval(interval, static_cast<uint64_t>(samples * 2000), 1000000000, kAutoSmallest);
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
  EXPECT_EQ(NextAutoInterval(1 << 20, 0, 1000000000, 1 << 20), 1u << 20);
  EXPECT_EQ(NextAutoInterval(32 << 20, 0, 1000000000, 32 << 20), 32u << 20);
}

TEST(AutoInterval, MovesByAFactorOfTwoAtMost) {
  EXPECT_EQ(NextAutoInterval(1 << 20, 1000000000, 1000000000, kAutoSmallest), 2u << 20);
  EXPECT_EQ(NextAutoInterval(1 << 20, 0, 1000000000, kAutoSmallest), 1u << 19);
}

TEST(AutoInterval, StaysWhenNoCpuTimeWasSeen) { EXPECT_EQ(NextAutoInterval(1 << 20, 5, 0, kAutoSmallest), 1u << 20); }

}  // namespace
}  // namespace heapecho::sampler

// SPDX-License-Identifier: Apache-2.0
// The sampler's mathematics. The statistical tests draw from fixed seeds, so they are deterministic; the bounds
// are those that a right implementation passes but for the stated odds over the choice of the seed.
#include "preload/sampler/poisson.h"

#include <cmath>

#include "gtest/gtest.h"

namespace heapecho::sampler {
namespace {

TEST(ExpOfMinus, AgreesWithTheMathematicalLibrary) {
  for (double x = 0; x < 708; x += 0.0371) {
    EXPECT_NEAR(ExpOfMinus(x) / std::exp(-x), 1, 2e-15) << x;
  }
  // Below the smallest normal number a double has no fifteen digits to agree in.
  for (double x = 708; x < 744; x += 0.0371) EXPECT_NEAR(ExpOfMinus(x), std::exp(-x), 0x1p-1073) << x;
  EXPECT_EQ(ExpOfMinus(0), 1);
  EXPECT_EQ(ExpOfMinus(1e9), 0);
}

TEST(OneMinusExpOfMinus, KeepsItsPrecisionForTinyArguments) {
  for (double x = 1e-12; x < 50; x *= 1.1) {
    EXPECT_NEAR(OneMinusExpOfMinus(x) / -std::expm1(-x), 1, 2e-15) << x;
  }
}

TEST(MinusLog, AgreesWithTheMathematicalLibrary) {
  for (double u = 1; u > 0x1p-53; u *= 0.93) EXPECT_NEAR(MinusLog(u), -std::log(u), 4e-15 * (1 - std::log(u))) << u;
  EXPECT_EQ(MinusLog(1), 0);
}

TEST(DrawGap, IsZeroWhenEveryAllocationIsSampled) {
  uint64_t state = 1;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(DrawGap(state, kEveryAllocation), 0u);
}

// Mean within 5 standard errors (odds of a right one to fail: 6e-7), and the share of gaps of at least one mean
// within 5 of its own.
TEST(DrawGap, IsExponentialWithTheIntervalAsItsMean) {
  constexpr int kDraws = 1000000;
  for (uint64_t interval : {uint64_t{1000}, uint64_t{512} << 10, kLargestInterval}) {
    uint64_t state = interval;
    double sum = 0;
    int beyond = 0;
    for (int i = 0; i < kDraws; ++i) {
      const uint64_t gap = DrawGap(state, interval);
      sum += static_cast<double>(gap) + 0.5;  // floor takes half a byte off
      beyond += gap >= interval;
    }
    EXPECT_NEAR(sum / kDraws / static_cast<double>(interval), 1, 5 / std::sqrt(kDraws));
    const double p = std::exp(-1);
    EXPECT_NEAR(beyond / double{kDraws}, p, 5 * std::sqrt(p * (1 - p) / kDraws));
  }
}

TEST(SampleWeight, IsTheInverseOfTheProbability) {
  for (uint64_t size : {1u, 16u, 4096u, 1u << 20, 1u << 30}) {
    for (uint64_t interval : {1u, 2u, 1024u, 512u << 10, 16u << 20}) {
      const double p = interval == 1 ? 1 : -std::expm1(-double(size) / double(interval));
      EXPECT_NEAR(SampleProbability(size, interval), p, 1e-14 * p);
      EXPECT_NEAR(SampleWeight(size, interval) * p, 1, 1e-14);
      EXPECT_GE(SampleWeight(size, interval), 1);
    }
  }
  EXPECT_EQ(SampleWeight(0, 1024), 0);
}

// Counting down as a thread does, over mixed sizes: the sum of weights is the truth within 5 standard errors.
TEST(Sampling, EstimatesBytesAndObjectsWithoutBias) {
  constexpr uint64_t kInterval = 4096;
  const uint64_t sizes[] = {16, 100, 1000, 5000, 100000};
  uint64_t state = 42;
  uint64_t countdown = DrawGap(state, kInterval);
  double bytes = 0, objects = 0, bytes_variance = 0, objects_variance = 0, true_bytes = 0, true_objects = 0;
  for (int i = 0; i < 2000000; ++i) {
    const uint64_t size = sizes[NextRandom(state) % 5];
    true_bytes += static_cast<double>(size);
    true_objects += 1;
    if (countdown >= size) {
      countdown -= size;
      continue;
    }
    const double w = SampleWeight(size, kInterval);
    const double s = static_cast<double>(size);
    bytes += w * s;
    objects += w;
    bytes_variance += w * s * w * s * (1 - 1 / w);
    objects_variance += w * w * (1 - 1 / w);
    countdown = DrawGap(state, kInterval);
  }
  EXPECT_NEAR(bytes, true_bytes, 5 * std::sqrt(bytes_variance));
  EXPECT_NEAR(objects, true_objects, 5 * std::sqrt(objects_variance));
  EXPECT_LT(std::sqrt(bytes_variance) / true_bytes, 0.01);  // or the bounds above would say nothing
}

// After doubling, what stays at weight 1/p(2R) is worth what was there at 1/p(R), within 5 standard errors.
TEST(StaysWhenDoubled, KeepsTheEstimateUnbiased) {
  uint64_t state = 7;
  for (uint64_t size : {uint64_t{64}, uint64_t{4096}, uint64_t{100000}}) {
    constexpr uint64_t kInterval = 8192;
    constexpr int kBlocks = 400000;
    int stayed = 0;
    for (int i = 0; i < kBlocks; ++i) stayed += StaysWhenDoubled(state, size, kInterval);
    const double p = SampleProbability(size, 2 * kInterval) / SampleProbability(size, kInterval);
    EXPECT_NEAR(stayed / double{kBlocks}, p, 5 * std::sqrt(p * (1 - p) / kBlocks) + 1e-9) << size;
  }
}

}  // namespace
}  // namespace heapecho::sampler

// SPDX-License-Identifier: Apache-2.0
// What the model's small types promise.
#include "analyzer/model/recording.h"

#include <gtest/gtest.h>

#include <cmath>

namespace heapecho::model {
namespace {

TEST(RecordingId, IsZeroOnlyWithoutAnyBit) {
  RecordingId id;
  EXPECT_TRUE(id.IsZero());
  id.bytes[15] = 1;
  EXPECT_FALSE(id.IsZero());
}

TEST(RecordingId, IsThirtyTwoLowerCaseDigits) {
  RecordingId id;
  id.bytes[0] = 0xab;
  id.bytes[15] = 0x0f;
  EXPECT_EQ(id.ToHex(), "ab00000000000000000000000000000f");
}

TEST(Domain, HasTheNamesThatTheCommandLineUses) {
  EXPECT_STREQ(DomainName(Domain::kMalloc), "malloc");
  EXPECT_STREQ(DomainName(Domain::kPython), "python");
  EXPECT_STREQ(DomainName(Domain::kArrow), "arrow");
  EXPECT_STREQ(DomainName(Domain::kMmap), "mmap");
}

TEST(Estimate, AddsAmountsAndVariances) {
  Estimate sum = {.bytes = 1, .objects = 2, .bytes_variance = 3, .objects_variance = 4};
  sum += {.bytes = 10, .objects = 20, .bytes_variance = 30, .objects_variance = 40};
  EXPECT_EQ(sum.bytes, 11);
  EXPECT_EQ(sum.objects, 22);
  EXPECT_EQ(sum.bytes_variance, 33);
  EXPECT_EQ(sum.objects_variance, 44);
}

TEST(Estimate, ErrorIsOneStandardDeviation) {
  const Estimate estimate = {.bytes = 0, .objects = 0, .bytes_variance = 9, .objects_variance = 16};
  EXPECT_EQ(estimate.BytesError(), 3);
  EXPECT_EQ(estimate.ObjectsError(), 4);
}

TEST(LiveBlock, StandsForItsWeightInObjectsAndBytes) {
  const LiveBlock block = {.size = 1000, .weight = 4};
  const Estimate estimate = block.ToEstimate();
  EXPECT_EQ(estimate.objects, 4);
  EXPECT_EQ(estimate.bytes, 4000);
}

// A block is seen with p = 1/w and then counts w: the variance of that is w^2 p (1 - p), of which
// the estimate from the block itself is w^2 (1 - p).
TEST(LiveBlock, VariesByWhatItStandsForBeyondItself) {
  const LiveBlock block = {.size = 1000, .weight = 4};
  const Estimate estimate = block.ToEstimate();
  EXPECT_DOUBLE_EQ(estimate.objects_variance, 4.0 * 4.0 * (1 - 1 / 4.0));
  EXPECT_DOUBLE_EQ(estimate.bytes_variance, estimate.objects_variance * 1000 * 1000);
}

TEST(LiveBlock, ThatWasCertainToBeSampledHasNoError) {
  const LiveBlock block = {.size = 1 << 30, .weight = 1};
  EXPECT_EQ(block.ToEstimate().bytes_variance, 0);
  EXPECT_EQ(block.ToEstimate().bytes, std::ldexp(1, 30));
}

}  // namespace
}  // namespace heapecho::model

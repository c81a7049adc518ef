// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/size_classes.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace heapecho::aggregator {
namespace {

TEST(SizeClasses, TellAllocatorsApartByTheirLibrary) {
  EXPECT_EQ(AllocatorOf("/lib/x86_64-linux-gnu/libc.so.6"), Allocator::kGlibc);
  EXPECT_EQ(AllocatorOf("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"), Allocator::kJemalloc);
  EXPECT_EQ(AllocatorOf("/usr/lib/libtcmalloc_minimal.so.4"), Allocator::kTcmalloc);
  EXPECT_EQ(AllocatorOf("/opt/libmimalloc.so.2.0"), Allocator::kMimalloc);
  EXPECT_EQ(AllocatorOf("/home/jemalloc/lib/libc.so.6"), Allocator::kGlibc);
  EXPECT_EQ(AllocatorOf(""), Allocator::kGlibc);
}

// A word of header, multiples of 16, 32 at least.
TEST(SizeClasses, OfTheCLibraryHaveAHeaderAndGoBySixteen) {
  EXPECT_EQ(OverheadOf(Allocator::kGlibc, 1), 31U);
  EXPECT_EQ(OverheadOf(Allocator::kGlibc, 24), 8U);
  EXPECT_EQ(OverheadOf(Allocator::kGlibc, 25), 23U);
  EXPECT_EQ(OverheadOf(Allocator::kGlibc, 1000), 8U);
  EXPECT_EQ(OverheadOf(Allocator::kGlibc, (128 << 10) - 16), 16U);
  EXPECT_EQ(OverheadOf(Allocator::kGlibc, 128 << 10), 4096U);
  EXPECT_EQ(OverheadOf(Allocator::kGlibc, (1 << 20) - 16), 16U);
}

// From jemalloc's manual: 8, 16 to 128 by 16, 160 192 224 256, 320 384 448 512, and so on.
TEST(SizeClasses, OfJemallocAreFourForEachPowerOfTwo) {
  const auto bytes = [](uint64_t size) { return size + OverheadOf(Allocator::kJemalloc, size); };
  EXPECT_EQ(bytes(1), 8U);
  EXPECT_EQ(bytes(9), 16U);
  EXPECT_EQ(bytes(48), 48U);
  EXPECT_EQ(bytes(128), 128U);
  EXPECT_EQ(bytes(129), 160U);
  EXPECT_EQ(bytes(225), 256U);
  EXPECT_EQ(bytes(257), 320U);
  EXPECT_EQ(bytes(1025), 1280U);
  EXPECT_EQ(bytes(1793), 2048U);
}

TEST(SizeClasses, DoNotCountPagesBehindTheEndOfALargeBlock) {
  for (const Allocator allocator :
       {Allocator::kGlibc, Allocator::kJemalloc, Allocator::kTcmalloc, Allocator::kMimalloc}) {
    for (const uint64_t size : {uint64_t{(1 << 20) + 1}, uint64_t{100} << 20, UINT64_MAX})
      EXPECT_LT(OverheadOf(allocator, size), 8192U) << size;
  }
}

TEST(SizeClasses, OfPythonGoBySixteen) {
  EXPECT_EQ(PythonObjectBytes(0), 16U);
  EXPECT_EQ(PythonObjectBytes(16), 16U);
  EXPECT_EQ(PythonObjectBytes(28), 32U);
  EXPECT_EQ(PythonObjectBytes(512), 512U);
}

}  // namespace
}  // namespace heapecho::aggregator

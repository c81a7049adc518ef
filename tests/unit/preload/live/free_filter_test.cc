// SPDX-License-Identifier: Apache-2.0
#include "preload/live/free_filter.h"

#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "preload/base/counters.h"

namespace heapecho::live {
namespace {

TEST(FreeFilter, SaysMaybeForWhatIsInAndNoForAnEmptyTable) {
  EXPECT_FALSE(MayBeSampled(0x7f0012345670));
  AddToFilter(0x7f0012345670);
  EXPECT_TRUE(MayBeSampled(0x7f0012345670));
  RemoveFromFilter(0x7f0012345670);
  EXPECT_FALSE(MayBeSampled(0x7f0012345670));
  EXPECT_EQ(FilterSlotsInUse(), 0u);
}

// A single bit a slot, cleared at free, used to hide another block of the same slot for ever.
TEST(FreeFilter, ForgettingOneBlockDoesNotHideAnotherOfTheSameSlot) {
  const uintptr_t first = 0x10000;
  uintptr_t second = first + 16;
  while (FilterSlot(second) != FilterSlot(first)) second += 16;
  AddToFilter(first);
  AddToFilter(second);
  RemoveFromFilter(first);
  EXPECT_TRUE(MayBeSampled(second));
  RemoveFromFilter(second);
  EXPECT_FALSE(MayBeSampled(second));
}

TEST(FreeFilter, LetsFewStrangersThroughAtTheLargestLiveSet) {
  std::vector<uintptr_t> blocks;
  // As far apart as samples at the smallest automatic interval.
  for (uintptr_t i = 0; i < 32768; ++i) blocks.push_back(0x7f0000000000 + i * 16400);
  for (uintptr_t block : blocks) AddToFilter(block);
  int maybe = 0;
  constexpr int kStrangers = 100000;
  for (uintptr_t i = 0; i < kStrangers; ++i) maybe += MayBeSampled(0x7f0000000000 + 8 + i * 4800);
  // One in sixteen slots is used; slots are no random function, so a third more is allowed.
  EXPECT_LT(maybe, kStrangers / 12);
  EXPECT_GT(maybe, 0);
  for (uintptr_t block : blocks) RemoveFromFilter(block);
  EXPECT_EQ(FilterSlotsInUse(), 0u);
}

TEST(FreeFilter, BlocksAtMultiplesOfAnArenaSizeAreSpread) {
  for (uintptr_t step = 4096; step <= uintptr_t{1} << 21; step *= 2) {
    std::set<uint32_t> slots;
    for (uintptr_t i = 0; i < 2048; ++i) slots.insert(FilterSlot(0x7f0000000010 + i * step));
    EXPECT_EQ(slots.size(), 2048u) << step;
  }
}

// What a free touches of the table is near to what the free of a neighbour touched.
TEST(FreeFilter, NeighboursShareCacheLinesOfSlots) {
  std::set<uint32_t> lines;
  for (uintptr_t i = 0; i < 1024; ++i) lines.insert(FilterSlot(0x560012345670 + i * 64) / 64);
  EXPECT_LE(lines.size(), 6u);
}

TEST(FreeFilter, ACountAtItsHighestStaysThereAndIsCounted) {
  const uintptr_t block = 0x7f00deadbee0;
  const auto& saturated = base::g_counters[static_cast<size_t>(base::Counter::k_free_filter_saturated)];
  const uint64_t before = saturated.load();
  for (int i = 0; i < 300; ++i) AddToFilter(block);
  for (int i = 0; i < 300; ++i) RemoveFromFilter(block);
  EXPECT_TRUE(MayBeSampled(block));
  EXPECT_EQ(saturated.load(), before + 1);
}

}  // namespace
}  // namespace heapecho::live

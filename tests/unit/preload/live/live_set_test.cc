// SPDX-License-Identifier: Apache-2.0
#include "preload/live/live_set.h"

#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "preload/live/free_filter.h"

namespace heapecho::live {
namespace {

Block At(uintptr_t address, uint64_t size = 100, uint32_t interval = 64) {
  return {.address = address, .size = size, .time_ns = 5, .stack = 7, .thread = 9, .interval = interval};
}

TEST(LiveSet, FindsWhatWasPutInExactlyOnce) {
  LiveSet set;
  ASSERT_TRUE(set.Initialize(1024));
  const uint32_t slot = set.Insert(At(0x1000, 123));
  ASSERT_NE(slot, kNoSlot);
  EXPECT_TRUE(MayBeSampled(0x1000));
  Block block;
  EXPECT_EQ(set.Take(0x2000, &block), kNoSlot);
  EXPECT_TRUE(set.Contains(0x1000));
  EXPECT_FALSE(set.Contains(0x2000));
  ASSERT_EQ(set.Take(0x1000, &block), slot);
  EXPECT_EQ(block.size, 123u);
  EXPECT_EQ(block.stack, 7u);
  EXPECT_FALSE(MayBeSampled(0x1000));
  EXPECT_FALSE(set.Contains(0x1000));
  EXPECT_EQ(set.Take(0x1000, &block), kNoSlot);
  set.Release(slot);
  EXPECT_EQ(set.size(), 0u);
}

TEST(LiveSet, RefusesWhatDoesNotFitAndLosesNothing) {
  const size_t filter_before = FilterSlotsInUse();
  LiveSet set;
  ASSERT_TRUE(set.Initialize(1024));
  for (uintptr_t i = 0; i < 1024; ++i) ASSERT_NE(set.Insert(At(0x10000 + i * 16)), kNoSlot) << i;
  EXPECT_EQ(set.Insert(At(0x900000)), kNoSlot);
  EXPECT_FALSE(MayBeSampled(0x900000));
  Block block;
  for (uintptr_t i = 0; i < 1024; ++i) {
    const uint32_t slot = set.Take(0x10000 + i * 16, &block);
    ASSERT_NE(slot, kNoSlot) << i;
    set.Release(slot);
  }
  EXPECT_EQ(set.size(), 0u);
  EXPECT_EQ(FilterSlotsInUse(), filter_before);
}

TEST(LiveSet, RefusesAnAddressBeyond48Bits) {
  LiveSet set;
  ASSERT_TRUE(set.Initialize(1024));
  EXPECT_EQ(set.Insert(At(uintptr_t{1} << 50)), kNoSlot);
  EXPECT_EQ(set.size(), 0u);
}

TEST(LiveSet, ZeroInitialisedRefuses) {
  static constinit LiveSet set;
  Block block;
  EXPECT_EQ(set.Insert(At(0x1000)), kNoSlot);
  EXPECT_EQ(set.Take(0x1000, &block), kNoSlot);
}

TEST(LiveSet, AgreesWithAMapUnderRandomUse) {
  LiveSet set;
  ASSERT_TRUE(set.Initialize(4096));
  std::map<uintptr_t, uint64_t> truth;
  std::mt19937_64 random(3);
  for (int i = 0; i < 300000; ++i) {
    const uintptr_t address = 0x7f0000000000 + random() % 6000 * 16;
    if (const auto it = truth.find(address); it != truth.end()) {
      Block block;
      const uint32_t slot = set.Take(address, &block);
      ASSERT_NE(slot, kNoSlot);
      EXPECT_EQ(block.size, it->second);
      set.Release(slot);
      truth.erase(it);
    } else if (truth.size() < 4096) {
      const uint64_t size = random() % 100000 + 1;
      ASSERT_NE(set.Insert(At(address, size)), kNoSlot);
      truth[address] = size;
    }
  }
  EXPECT_EQ(set.size(), truth.size());
}

struct Thinning {
  std::mt19937_64 random{11};
  std::atomic<int> out = 0, kept = 0;
};
bool CoinStays(const Block&, void* context) { return (static_cast<Thinning*>(context)->random() & 1) != 0; }
void CountThinned(uint32_t, const Block&, uint32_t interval, void* context) {
  (interval != 0 ? static_cast<Thinning*>(context)->kept : static_cast<Thinning*>(context)->out)++;
}

TEST(LiveSet, ThinsEveryBlockBelowTheIntervalAndNoOther) {
  LiveSet set;
  ASSERT_TRUE(set.Initialize(1024));
  for (uintptr_t i = 0; i < 500; ++i) set.Insert(At(0x10000 + i * 16, 100, 64));
  for (uintptr_t i = 0; i < 100; ++i) set.Insert(At(0x90000 + i * 16, 100, 128));
  Thinning thinning;
  ASSERT_TRUE(set.TryStartThinning());
  EXPECT_FALSE(set.TryStartThinning());
  set.Thin(128, CoinStays, CountThinned, &thinning);
  set.EndThinning();
  EXPECT_EQ(thinning.out + thinning.kept, 500);
  EXPECT_EQ(set.size(), 600u - static_cast<uint32_t>(thinning.out));
  int found = 0;
  for (uintptr_t i = 0; i < 500; ++i) {
    Block block;
    const uint32_t slot = set.Take(0x10000 + i * 16, &block);
    if (slot == kNoSlot) continue;
    EXPECT_EQ(block.interval, 128u);
    set.Release(slot);
    ++found;
  }
  EXPECT_EQ(found, thinning.kept);
}

// Threads allocate and free across each other while one thins: at the end nothing is left, no block was given
// to two, and the free filter is empty.
TEST(LiveSet, IsEmptyAfterConcurrentChurnWithThinning) {
  const size_t filter_before = FilterSlotsInUse();
  LiveSet set;
  ASSERT_TRUE(set.Initialize(8192));
  constexpr int kThreads = 4, kRounds = 30000, kWindow = 256;
  std::atomic<uint64_t> inserted = 0, taken = 0;
  std::atomic<bool> done = false;
  Thinning thinning;
  std::atomic<uint64_t> mailboxes[kWindow] = {};
  std::vector<std::thread> threads;
  for (uintptr_t id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      const auto free_block = [&](uintptr_t address) {
        Block block;
        const uint32_t slot = set.Take(address, &block);
        if (slot == kNoSlot) return;  // thinned
        EXPECT_EQ(block.address, address);
        ++taken;
        set.Release(slot);
      };
      for (uintptr_t i = 0; i < kRounds; ++i) {
        const uintptr_t address = 0x7f0000000000 + ((id << 32) | (i % 5000 + 1) << 4);
        // Whatever address lies in the mailbox is freed by whoever replaces it, often another thread.
        if (set.Insert(At(address)) != kNoSlot) {
          ++inserted;
        } else {
          continue;
        }
        const uint64_t other = mailboxes[(i * 7 + id) % kWindow].exchange(address);
        if (other != 0) free_block(other);
      }
    });
  }
  std::thread thinner([&] {
    uint32_t interval = 64;
    while (!done) {
      set.Thin(interval = interval >= 1 << 30 ? 128 : interval * 2, CoinStays, CountThinned, &thinning);
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  thinner.join();
  for (auto& mailbox : mailboxes) {
    Block block;
    const uint64_t address = mailbox.load();
    const uint32_t slot = address != 0 ? set.Take(address, &block) : kNoSlot;
    if (slot != kNoSlot) {
      ++taken;
      set.Release(slot);
    }
  }
  EXPECT_EQ(inserted, taken + static_cast<uint64_t>(thinning.out));
  EXPECT_EQ(set.size(), 0u);
  EXPECT_EQ(FilterSlotsInUse(), filter_before);
  // Every entry can be had again.
  for (uintptr_t i = 0; i < 8192; ++i) ASSERT_NE(set.Insert(At(0x10000 + i * 16)), kNoSlot) << i;
}

}  // namespace
}  // namespace heapecho::live

// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/totals.h"

#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::stack {
namespace {

uint64_t PeakShare(const ProcessTotals& process, const StackTotals& stack) {
  return stack.peak_mark == process.peak_mark ? stack.peak_bytes : stack.live_bytes;
}

TEST(Totals, GoBackToExactlyNothing) {
  ProcessTotals process = {};
  StackTotals stack = {};
  std::vector<Worth> worths;
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    worths.push_back(WorthOf(random() % 100000 + 1, 1 + static_cast<double>(random() % 1000) / 7));
    AddAllocation(process, stack, worths.back(), 1, 0);
  }
  for (const Worth& worth : worths) AddFree(process, stack, worth, false, 0);
  EXPECT_EQ(process.live_bytes, 0u);
  EXPECT_EQ(process.live_objects, 0u);
  EXPECT_EQ(stack.live_bytes, 0u);
  EXPECT_EQ(stack.allocated_bytes, stack.freed_bytes);
  EXPECT_EQ(process.samples, 1000u);
}

// Against a snapshot of all stacks taken at each new peak, which is what the marks save us.
TEST(Totals, TheHighWaterMarkIsExact) {
  constexpr size_t kStacks = 20;
  ProcessTotals process = {};
  std::vector<StackTotals> stacks(kStacks);
  std::vector<uint64_t> snapshot(kStacks);
  std::vector<std::pair<size_t, Worth>> live;
  uint64_t peak = 0;
  std::mt19937_64 random(2);
  for (int i = 0; i < 20000; ++i) {
    const bool grows = live.empty() || random() % 100 < (i / 2000 % 2 == 0 ? 60u : 40u);
    if (grows) {
      const size_t stack = random() % kStacks;
      live.emplace_back(stack, WorthOf(random() % 5000 + 1, 3));
      AddAllocation(process, stacks[stack], live.back().second, 1, 0);
    } else {
      const size_t victim = random() % live.size();
      AddFree(process, stacks[live[victim].first], live[victim].second, false, 0);
      live.erase(live.begin() + static_cast<ptrdiff_t>(victim));
    }
    if (process.live_bytes > peak) {
      peak = process.live_bytes;
      for (size_t s = 0; s < kStacks; ++s) snapshot[s] = stacks[s].live_bytes;
    }
    ASSERT_EQ(process.peak_bytes, peak);
    for (size_t s = 0; s < kStacks; ++s) ASSERT_EQ(PeakShare(process, stacks[s]), snapshot[s]) << i << " " << s;
  }
}

TEST(Totals, AnInheritedBlockIsNotOfWhatTheChildFreed) {
  ProcessTotals process = {};
  StackTotals stack = {};
  const Worth worth = WorthOf(1000, 2);
  AddAllocation(process, stack, worth, 1, 0);
  BeginChild(stack);
  BeginChild(process, 2);
  EXPECT_EQ(process.allocated_bytes, 0u);
  EXPECT_EQ(process.peak_bytes, worth.bytes) << "a child's peak begins with what it inherits";
  AddFree(process, stack, worth, true, 0);
  EXPECT_EQ(process.freed_bytes, 0u);
  EXPECT_EQ(process.live_bytes, 0u);
  EXPECT_EQ(stack.live_bytes, 0u);
}

TEST(Totals, FoldingMovesEveryByte) {
  ProcessTotals process = {};
  StackTotals from = {}, into = {};
  AddAllocation(process, from, WorthOf(100, 5), 1, 3);
  AddAllocation(process, into, WorthOf(70, 2), 1, 9);
  AddFree(process, from, WorthOf(100, 5), false, 4);
  const uint64_t allocated = from.allocated_bytes + into.allocated_bytes;
  const uint64_t peak = PeakShare(process, from) + PeakShare(process, into);
  Fold(process, from, into);
  EXPECT_EQ(into.allocated_bytes, allocated);
  EXPECT_EQ(from.allocated_bytes, 0u);
  EXPECT_EQ(PeakShare(process, into), peak);
  EXPECT_EQ(into.samples, 2u);
  EXPECT_EQ(into.last_used_s, 9u);
}

TEST(Totals, LoseNothingBetweenThreads) {
  ProcessTotals process = {};
  StackTotals stack = {};
  const Worth worth = WorthOf(10, 3);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) {
        AddAllocation(process, stack, worth, 1, 0);
        AddFree(process, stack, worth, false, 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(process.live_bytes, 0u);
  EXPECT_EQ(stack.allocated_bytes, 80000 * worth.bytes);
  EXPECT_EQ(process.samples, 80000u);
}

}  // namespace
}  // namespace heapecho::stack

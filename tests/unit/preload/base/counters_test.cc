// SPDX-License-Identifier: Apache-2.0
#include "preload/base/counters.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::base {
namespace {

constexpr auto kOne = Counter::k_events_dropped;
constexpr auto kOther = Counter::k_tasks_not_followed;

class Counters : public testing::Test {
 protected:
  Counters() {
    for (auto& counter : g_counters) counter.store(0);
  }
  ~Counters() override { ShowCountersAt(nullptr); }

  uint64_t Shown(Counter counter) const { return values_[static_cast<size_t>(counter) * kCounterRecordWords]; }

  uint64_t values_[kCounterCount * kCounterRecordWords] = {};
};

TEST_F(Counters, ACountIsShownAtOnceAndNoNeighbourIsTouched) {
  ShowCountersAt(values_);
  Count(kOne, 3);
  EXPECT_EQ(Shown(kOne), 3u);
  uint64_t sum = 0;
  for (uint64_t word : values_) sum += word;
  EXPECT_EQ(sum, 3u);
}

TEST_F(Counters, WhatWasCountedBeforeIsShownFromTheBeginning) {
  Count(kOther, 7);
  ShowCountersAt(values_);
  EXPECT_EQ(Shown(kOther), 7u);
}

TEST_F(Counters, AfterwardsNothingIsStoredThereAnyMore) {
  ShowCountersAt(values_);
  ShowCountersAt(nullptr);
  Count(kOne);
  EXPECT_EQ(Shown(kOne), 0u);
  EXPECT_EQ(g_counters[static_cast<size_t>(kOne)].load(), 1u);
}

TEST_F(Counters, ManyThreadsThatCountLeaveTheSum) {
  ShowCountersAt(values_);
  constexpr uint64_t kEach = 20000;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (uint64_t n = 0; n < kEach; ++n) Count(kOne);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(Shown(kOne), 4 * kEach);
}

}  // namespace
}  // namespace heapecho::base

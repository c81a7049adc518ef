// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <thread>
#include <vector>

namespace heapecho::pools {
namespace {

RangeChange Change(uintptr_t start, uintptr_t end = 0) {
  return {.kind = RangeChange::Kind::kUnmap, .start = start, .end = end, .range = {}};
}

TEST(RangeLog, GivesChangesInTheOrderInWhichTheirPlacesWereReserved) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t first = log.Reserve();
  const uint64_t second = log.Reserve();
  EXPECT_TRUE(log.Fill(second, Change(2)));
  RangeChange change;
  EXPECT_FALSE(log.HasNext());
  EXPECT_FALSE(log.Take(&change));
  EXPECT_TRUE(log.Fill(first, Change(1)));
  EXPECT_TRUE(log.HasNext());
  ASSERT_TRUE(log.Take(&change));
  EXPECT_EQ(change.start, 1u);
  ASSERT_TRUE(log.Take(&change));
  EXPECT_EQ(change.start, 2u);
  EXPECT_FALSE(log.Take(&change));
}

TEST(RangeLog, RefusesWhenItIsFullAndTakesMoreWhenItIsNot) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  for (uint32_t i = 0; i < RangeLog::kPlaces; ++i) {
    const uint64_t place = log.Reserve();
    ASSERT_NE(place, RangeLog::kNoPlace);
    ASSERT_TRUE(log.Fill(place, Change(i)));
  }
  EXPECT_EQ(log.Reserve(), RangeLog::kNoPlace);
  RangeChange change;
  EXPECT_TRUE(log.Take(&change));
  EXPECT_NE(log.Reserve(), RangeLog::kNoPlace);
  EXPECT_EQ(log.Reserve(), RangeLog::kNoPlace);
}

TEST(RangeLog, PassesOverAPlaceThatNobodyFilledAndTellsWhoComesLate) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t lost = log.Reserve();
  ASSERT_TRUE(log.Fill(log.Reserve(), Change(2)));
  EXPECT_EQ(log.Stuck(), lost);
  EXPECT_TRUE(log.Void());
  EXPECT_EQ(log.Stuck(), RangeLog::kNoPlace);
  EXPECT_FALSE(log.Void());
  EXPECT_FALSE(log.Fill(lost, Change(1)));
  RangeChange change;
  ASSERT_TRUE(log.Take(&change));
  EXPECT_EQ(change.start, 2u);
}

TEST(RangeLog, InAForkedChildWhatWasReservedIsNothingAndTheRestIsThere) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  log.Reserve();
  ASSERT_TRUE(log.Fill(log.Reserve(), Change(2)));
  EXPECT_FALSE(log.AfterFork());
  RangeChange change;
  ASSERT_TRUE(log.Take(&change));
  EXPECT_EQ(change.kind, RangeChange::Kind::kNothing);
  ASSERT_TRUE(log.Take(&change));
  EXPECT_EQ(change.start, 2u);
  EXPECT_TRUE(log.AfterFork());
}

TEST(RangeLog, ZeroInitialisedItRefuses) {
  RangeLog log = {};
  EXPECT_EQ(log.Reserve(), RangeLog::kNoPlace);
  EXPECT_FALSE(log.HasNext());
  RangeChange change;
  EXPECT_FALSE(log.Take(&change));
}

// Each thread's changes come in their order, none is lost but those that were refused, none comes
// twice.
TEST(RangeLog, LosesNothingOfWhatItTookWhenManyAppendAndWhoeverGetsItTakesOut) {
  constexpr uintptr_t kThreads = 4, kEach = 20000;
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  std::atomic<bool> busy = false;
  std::vector<uintptr_t> last(kThreads, 0);
  std::atomic<uint64_t> taken = 0, refused = 0, disorder = 0;
  const auto drain = [&] {
    while (!busy.exchange(true, std::memory_order_acq_rel)) {
      RangeChange change;
      while (log.Take(&change)) {
        if (change.end <= last[change.start]) disorder.fetch_add(1);
        last[change.start] = change.end;
        taken.fetch_add(1);
      }
      busy.exchange(false, std::memory_order_acq_rel);
      if (!log.HasNext()) break;
    }
  };
  std::vector<std::thread> threads;
  for (uintptr_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uintptr_t i = 1; i <= kEach; ++i) {
        const uint64_t place = log.Reserve();
        if (place == RangeLog::kNoPlace || !log.Fill(place, Change(thread, i))) {
          refused.fetch_add(1);
        }
        drain();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  drain();
  EXPECT_FALSE(log.HasNext());
  EXPECT_EQ(disorder.load(), 0u);
  EXPECT_EQ(taken.load() + refused.load(), kThreads * kEach);
}

}  // namespace
}  // namespace heapecho::pools

// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace heapecho::pools {
namespace {

using Kind = RangeChange::Kind;

RangeChange Change(uintptr_t start, uintptr_t end = 0) {
  return {.kind = Kind::kGiveBack, .start = start, .end = end, .range = {}};
}

// What comes out next starts there; 0: nothing comes.
uintptr_t NextStart(RangeLog& log) {
  RangeLog::Taken taken;
  return log.Take(&taken) ? taken.change.start : 0;
}

TEST(RangeLog, AnUnmappingStandsWhereItWasOpenedAndAllElseWhereItWasDone) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t unmapping = log.Open(1, 2);
  const uint64_t move = log.Open(4, 5);
  ASSERT_TRUE(log.Append(Change(2)));
  ASSERT_TRUE(log.Append(Change(3)));
  EXPECT_TRUE(log.Close(move, Kind::kMove, {}));
  EXPECT_TRUE(log.Close(unmapping, Kind::kUnmap, {}));
  EXPECT_TRUE(log.HasNext());
  for (uintptr_t start = 1; start <= 4; ++start) EXPECT_EQ(NextStart(log), start);
  EXPECT_FALSE(log.HasNext());
  EXPECT_EQ(NextStart(log), 0u);
}

// Used to hold up everything that came after it: with the log full, thousands of changes were lost
// while one thread was not running.
TEST(RangeLog, ACallThatIsOpenHoldsUpNobody) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t open = log.Open(1, 2);
  for (uintptr_t i = 2; i < 4 * RangeLog::kPlaces; ++i) {
    ASSERT_TRUE(log.Append(Change(i)));
    ASSERT_EQ(NextStart(log), i);
    const uint64_t other = log.Open(i, i + 1);
    ASSERT_TRUE(log.Close(other, Kind::kUnmap, {}));
    ASSERT_EQ(NextStart(log), i);
  }
  EXPECT_TRUE(log.Close(open, Kind::kUnmap, {}));
  EXPECT_EQ(NextStart(log), 1u);
}

TEST(RangeLog, RefusesWhenAllPlacesAreTakenAndTakesMoreWhenTheyAreNot) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  for (uint32_t i = 1; i < RangeLog::kPlaces; ++i) ASSERT_TRUE(log.Append(Change(i)));
  EXPECT_NE(log.Open(1, 2), RangeLog::kNoPlace);
  EXPECT_FALSE(log.Append(Change(1)));
  EXPECT_EQ(log.Open(1, 2), RangeLog::kNoPlace);
  EXPECT_EQ(NextStart(log), 1u);
  EXPECT_TRUE(log.Append(Change(1)));
  EXPECT_FALSE(log.Append(Change(1)));
}

TEST(RangeLog, AMappingOvertakesOnceEachCallThatWasOpenedBeforeAndTakesItsPages) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t elsewhere = log.Open(0x1000, 0x2000);
  const uint64_t there = log.Open(0x2000, 0x4000);
  const uint64_t also_there = log.Open(0x3000, 0x5000);
  ASSERT_TRUE(log.Append(Change(0x3000, 0x4000)));
  const uint64_t later = log.Open(0x3000, 0x4000);
  RangeLog::Taken mapping;
  ASSERT_TRUE(log.Take(&mapping));
  std::vector<uintptr_t> starts;
  while (RangeLog::Call* const call = log.Overtaken(0x3000, 0x4000, mapping.ticket)) {
    starts.push_back(call->start);
    call->was.counted = call->end;
  }
  EXPECT_EQ(starts, (std::vector<uintptr_t>{0x2000, 0x3000}));
  for (const uint64_t place : {elsewhere, there, also_there, later})
    ASSERT_TRUE(log.Close(place, Kind::kUnmap, {}));
  for (const uint64_t counted : {0, 0x4000, 0x5000, 0}) {
    RangeLog::Taken taken;
    ASSERT_TRUE(log.Take(&taken));
    EXPECT_EQ(taken.call.overtaken, counted != 0);
    EXPECT_EQ(taken.call.was.counted, counted);
  }
}

TEST(RangeLog, ACallThatWasClosedButHasNotComeOutIsOvertakenToo) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t place = log.Open(0x1000, 0x2000);
  ASSERT_TRUE(log.Append(Change(0x1000, 0x2000)));
  RangeLog::Taken mapping;
  ASSERT_TRUE(log.Take(&mapping));
  ASSERT_TRUE(log.Close(place, Kind::kUnmap, {}));
  EXPECT_NE(log.Overtaken(0x1000, 0x2000, mapping.ticket), nullptr);
  RangeLog::Taken unmapping;
  ASSERT_TRUE(log.Take(&unmapping));
  EXPECT_TRUE(unmapping.call.overtaken);
}

TEST(RangeLog, PassesOverACallThatIsOpenForTwoLooksAndTellsWhoComesLate) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t lost = log.Open(0x1000, 0x2000);
  EXPECT_EQ(log.PassOver(), 0u);
  const uint64_t fresh = log.Open(0x3000, 0x4000);
  EXPECT_EQ(log.PassOver(), 1u);
  EXPECT_EQ(log.Overtaken(0x1000, 0x2000, UINT64_MAX), nullptr);
  const uint64_t in_its_place = log.Open(0x5000, 0x6000);
  EXPECT_FALSE(log.Close(lost, Kind::kUnmap, {}));
  EXPECT_TRUE(log.Close(fresh, Kind::kUnmap, {}));
  EXPECT_TRUE(log.Close(in_its_place, Kind::kUnmap, {}));
  EXPECT_EQ(NextStart(log), 0x3000u);
  EXPECT_EQ(NextStart(log), 0x5000u);
}

TEST(RangeLog, InAForkedChildWhatWasOpenIsPassedOverAndTheRestIsThere) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t open = log.Open(0x1000, 0x2000);
  ASSERT_TRUE(log.Append(Change(2)));
  EXPECT_EQ(log.AfterFork(), 1u);
  EXPECT_FALSE(log.Close(open, Kind::kUnmap, {}));
  EXPECT_EQ(NextStart(log), 2u);
  EXPECT_EQ(NextStart(log), 0u);
  EXPECT_EQ(log.AfterFork(), 0u);
}

TEST(RangeLog, ClearedItHasAllItsPlacesAndNothingElse) {
  RangeLog log;
  ASSERT_TRUE(log.Initialize());
  const uint64_t open = log.Open(0x1000, 0x2000);
  for (int i = 0; i < 2; ++i) {  // one is pending
    ASSERT_TRUE(log.Append(Change(2)));
    ASSERT_TRUE(log.Append(Change(3)));
    ASSERT_NE(NextStart(log), 0u);
  }
  log.Clear();
  EXPECT_FALSE(log.HasNext());
  EXPECT_EQ(NextStart(log), 0u);
  EXPECT_FALSE(log.Close(open, Kind::kUnmap, {}));
  EXPECT_EQ(log.Overtaken(0x1000, 0x2000, UINT64_MAX), nullptr);
  for (uint32_t i = 1; i <= RangeLog::kPlaces; ++i) ASSERT_TRUE(log.Append(Change(i)));
  EXPECT_FALSE(log.Append(Change(1)));
  for (uint32_t i = 1; i <= RangeLog::kPlaces; ++i) ASSERT_EQ(NextStart(log), i);
}

TEST(RangeLog, ZeroInitialisedItRefuses) {
  RangeLog log = {};
  EXPECT_EQ(log.Open(1, 2), RangeLog::kNoPlace);
  EXPECT_FALSE(log.Append(Change(1)));
  EXPECT_FALSE(log.HasNext());
  EXPECT_EQ(NextStart(log), 0u);
  EXPECT_EQ(log.Overtaken(0, UINTPTR_MAX, UINT64_MAX), nullptr);
  EXPECT_EQ(log.PassOver(), 0u);
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
      RangeLog::Taken next;
      while (log.Take(&next)) {
        log.Overtaken(next.change.start, next.change.end, next.ticket);
        if (next.change.end <= last[next.change.start]) disorder.fetch_add(1);
        last[next.change.start] = next.change.end;
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
        if (i % 2 == 0) {
          if (!log.Append(Change(thread, i))) refused.fetch_add(1);
        } else {
          const uint64_t place = log.Open(thread, i);
          std::this_thread::yield();
          if (place == RangeLog::kNoPlace || !log.Close(place, Kind::kUnmap, {})) {
            refused.fetch_add(1);
          }
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

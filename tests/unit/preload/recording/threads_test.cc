// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/threads.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <barrier>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::recording {
namespace {

uint32_t Self() { return static_cast<uint32_t>(syscall(SYS_gettid)); }

TEST(ThreadTable, KeepsWhoAThreadIsAndWhatTheKernelCallsIt) {
  ThreadTable table = {};
  ASSERT_TRUE(table.Initialize(8));
  uint32_t id = 0, record = ThreadTable::kNone;
  std::thread([&] {
    prctl(PR_SET_NAME, "sweeper");
    id = Self();
    record = table.Add(id, 5, 123);
  }).join();
  ASSERT_LT(record, table.used());
  const wire::ThreadRecord& said = table.Record(record);
  EXPECT_EQ(said.thread, id);
  EXPECT_EQ(said.ordinal, 5u);
  EXPECT_EQ(said.first_seen_ns, 123u);
  EXPECT_STREQ(said.name, "sweeper");
}

TEST(ThreadTable, LearnsANewNameWhenAskedToAndSaysWhetherThereIsOne) {
  ThreadTable table = {};
  ASSERT_TRUE(table.Initialize(8));
  std::thread([&] {
    prctl(PR_SET_NAME, "a-name-of-15-ch");
    const uint32_t record = table.Add(Self(), 0, 1);
    EXPECT_FALSE(table.RenewName(record));
    prctl(PR_SET_NAME, "b");
    EXPECT_STREQ(table.Record(record).name, "a-name-of-15-ch");
    EXPECT_TRUE(table.RenewName(record));
    EXPECT_STREQ(table.Record(record).name, "b");
    EXPECT_FALSE(table.RenewName(record));
  }).join();
}

TEST(ThreadTable, TakesNoMoreThanItHasRoomFor) {
  ThreadTable table = {};
  ASSERT_TRUE(table.Initialize(4));
  std::set<uint32_t> records;
  for (uint32_t i = 0; i < 4; ++i) records.insert(table.Add(100 + i, i, i));
  EXPECT_EQ(records.size(), 4u);
  EXPECT_EQ(table.Add(200, 4, 4), ThreadTable::kNone);
  EXPECT_EQ(table.used(), 4u);
  EXPECT_EQ(table.Record(3).thread, 103u);
}

TEST(ThreadTable, ThatWasNotInitializedIsFull) {
  ThreadTable table = {};
  EXPECT_EQ(table.Add(1, 0, 0), ThreadTable::kNone);
  table.AfterFork();
  EXPECT_EQ(table.used(), 0u);
}

TEST(ThreadTable, GivesThreadsThatComeAtOnceARecordEach) {
  ThreadTable table = {};
  constexpr uint32_t kThreads = 16;
  ASSERT_TRUE(table.Initialize(kThreads));
  std::barrier together(kThreads);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      together.arrive_and_wait();
      EXPECT_NE(table.Add(1000 + i, i, i), ThreadTable::kNone);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<uint32_t> seen;
  for (uint32_t i = 0; i < table.used(); ++i) seen.insert(table.Record(i).thread);
  EXPECT_EQ(seen.size(), kThreads);
}

TEST(ThreadTable, OfAForkedChildIsEmpty) {
  ThreadTable table = {};
  ASSERT_TRUE(table.Initialize(4));
  table.Add(7, 0, 1);
  table.AfterFork();
  EXPECT_EQ(table.used(), 0u);
  EXPECT_EQ(table.Record(0).thread, 0u);
  EXPECT_EQ(table.Add(8, 0, 2), 0u);
}

TEST(CountThreads, CountsThoseThatThereAre) {
  const uint32_t before = CountThreads();
  ASSERT_GE(before, 1u);
  std::barrier begun(4), over(4);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      begun.arrive_and_wait();
      over.arrive_and_wait();
    });
  }
  begun.arrive_and_wait();
  EXPECT_EQ(CountThreads(), before + 3);
  over.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace heapecho::recording

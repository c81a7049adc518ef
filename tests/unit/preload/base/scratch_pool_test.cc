// SPDX-License-Identifier: Apache-2.0
#include "preload/base/scratch_pool.h"

#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::base {
namespace {

struct Buffer {
  uint64_t words[64];
};

TEST(ScratchPool, GivesEachBufferOnceAndThenNone) {
  ScratchPool<Buffer> pool;
  ASSERT_TRUE(pool.Initialize());
  std::set<Buffer*> taken;
  for (int i = 0; i < ScratchPool<Buffer>::kBuffers; ++i) taken.insert(pool.Take());
  EXPECT_EQ(taken.size(), static_cast<size_t>(ScratchPool<Buffer>::kBuffers));
  EXPECT_EQ(taken.count(nullptr), 0u);
  EXPECT_EQ(pool.Take(), nullptr);
  pool.GiveBack(*taken.begin());
  EXPECT_EQ(pool.Take(), *taken.begin());
}

TEST(ScratchPool, GivesAThreadTheBufferAgainThatItHadLast) {
  ScratchPool<Buffer> pool;
  ASSERT_TRUE(pool.Initialize());
  Buffer* const first = pool.Take(3);
  Buffer* const second = pool.Take(5);
  EXPECT_NE(first, second);
  pool.GiveBack(second);
  pool.GiveBack(first);
  EXPECT_EQ(pool.Take(5), second);
  EXPECT_EQ(pool.Take(3), first);
  EXPECT_NE(pool.Take(3), first);  // another one, while it has that
}

TEST(ScratchPool, ZeroInitialisedGivesNone) {
  static constinit ScratchPool<Buffer> pool;
  EXPECT_EQ(pool.Take(), nullptr);
}

TEST(ScratchPool, NeverGivesOneBufferToTwoThreads) {
  ScratchPool<Buffer> pool;
  ASSERT_TRUE(pool.Initialize());
  std::vector<std::thread> threads;
  std::atomic<int> clashes = 0;
  for (uint64_t id = 1; id <= 4; ++id) {
    threads.emplace_back([&, id] {
      for (int i = 0; i < 20000; ++i) {
        Buffer* buffer = pool.Take();
        if (buffer == nullptr) continue;
        for (uint64_t& word : buffer->words) word = id;  // plain stores: a clash is a race to TSan
        for (uint64_t word : buffer->words) clashes += word != id;
        pool.GiveBack(buffer);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clashes, 0);
}

}  // namespace
}  // namespace heapecho::base

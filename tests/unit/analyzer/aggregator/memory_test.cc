// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace heapecho::aggregator {
namespace {

using model::Domain;

constexpr uint64_t kMiB = 1 << 20;

// A process with blocks of malloc's and of Python's, which was looked at once.
struct Looked {
  model::Recording recording;
  std::vector<model::Stack> stacks{2};
  std::vector<model::LiveBlock> blocks;
  model::HistoryPoint point;

  Looked() {
    stacks[1].domain = Domain::kPython;
    recording.identity.allocator = "/lib/x86_64-linux-gnu/libc.so.6";
    recording.disk_bytes = 2 * kMiB;
    point.rss_known = true;
    point.rss_anon = 100 * kMiB;
    point.rss_file = 12 * kMiB;
    Hold(0, 1000, 1000);
    Hold(1, 40, 50'000);
  }
  void Hold(uint32_t stack, uint64_t size, double weight) {
    blocks.push_back({.size = size, .weight = weight, .stack = {stack}});
    point.domain_live[stack] += weight * static_cast<double>(size);
  }
  void Python(uint64_t arenas, uint64_t small) {
    point.parts.allocators_known = true;
    point.parts.python_arenas = arenas;
    point.parts.python_small = small;
  }
  model::MemoryAccount Account() const { return AccountOf(recording, blocks, stacks, point); }
};

TEST(Memory, PartsAndTheRestAddUpToWhatIsResident) {
  Looked process;
  process.Python(4 * kMiB, 50'000 * 48);
  process.point.swap = 3 * kMiB;
  const model::MemoryAccount account = process.Account();
  ASSERT_TRUE(account.known);
  EXPECT_EQ(account.rss, 112.0 * kMiB);
  EXPECT_DOUBLE_EQ(account.rss, account.LiveBytes() - account.swapped + account.overhead +
                                    *account.retained.python + account.own + account.file_backed +
                                    account.Unexplained());
  EXPECT_GT(account.Unexplained(), 90.0 * kMiB) << "nothing is spread over the other parts";
}

TEST(Memory, KnowsWhatPythonsAllocatorKeepsOfItsArenas) {
  Looked process;
  EXPECT_FALSE(process.Account().retained.python.has_value());
  process.Python(4 * kMiB, 50'000 * 48);
  EXPECT_DOUBLE_EQ(*process.Account().retained.python, 4.0 * kMiB - 50'000 * 48);
  process.Python(1, 50'000 * 48);
  EXPECT_EQ(*process.Account().retained.python, 0) << "never below nothing";
}

TEST(Memory, TakesMallocsWordForWhatItKeeps) {
  Looked process;
  EXPECT_FALSE(process.Account().retained.malloc.has_value());
  process.point.parts.malloc_free_known = true;
  process.point.parts.malloc_free = 30 * kMiB;
  const model::MemoryAccount account = process.Account();
  EXPECT_EQ(*account.retained.malloc, 30.0 * kMiB);
  EXPECT_LT(account.Unexplained(), 71.0 * kMiB);
}

TEST(Memory, DerivesWhatMallocKeepsWhereItWasNotAsked) {
  Looked process;
  process.point.parts.presence_known = true;
  process.point.parts.malloc_heap = 40 * kMiB;
  // The blocks with their headers, and a small object of Python's that was sampled.
  const double held = 1000 * 1008.0 + 528;
  EXPECT_DOUBLE_EQ(*process.Account().retained.malloc, 40.0 * kMiB - held);
  process.point.parts.malloc_heap = 11 * kMiB;  // less than a tenth of what is resident is kept
  EXPECT_FALSE(process.Account().retained.malloc.has_value());
  process.point.parts.malloc_free_known = true;
  process.point.parts.malloc_free = 3 * kMiB;
  EXPECT_EQ(*process.Account().retained.malloc, 3.0 * kMiB) << "its own word goes first";
}

TEST(Memory, KnowsWhatArrowsPoolsKeepOfWhatTheyHave) {
  Looked process;
  process.point.parts.presence_known = true;
  process.point.parts.arrow_reserve = 70 * kMiB;
  process.point.domain_live[2] = 20.0 * kMiB;
  EXPECT_EQ(*process.Account().retained.arrow, 50.0 * kMiB);
}

TEST(Memory, TakesWhatThePresenceLookSawForItsParts) {
  Looked process;
  model::HistoryPoint::Parts& parts = process.point.parts;
  parts.presence_known = true;
  parts.own_file = 1 * kMiB;
  parts.own_private = 5 * kMiB;
  parts.stacks = 2 * kMiB;
  parts.file_private = 3 * kMiB;
  parts.untouched = 7 * kMiB;
  parts.shared_live = 4 * kMiB;
  parts.inherited = 6 * kMiB;
  const model::MemoryAccount account = process.Account();
  EXPECT_DOUBLE_EQ(account.own, 6.0 * kMiB + 528);
  EXPECT_EQ(account.file_backed, (12.0 - 1 - 4 + 3) * kMiB);
  EXPECT_EQ(*account.stacks, 2.0 * kMiB);
  EXPECT_EQ(*account.untouched, 7.0 * kMiB);
  EXPECT_EQ(account.inherited, 6.0 * kMiB);
}

TEST(Memory, CountsHeadersAndRoundingByTheAllocatorThatServed) {
  Looked process;
  EXPECT_DOUBLE_EQ(process.Account().overhead, 1000 * 8.0 + 50'000 * 8.0);
  process.recording.identity.allocator = "/usr/lib/libjemalloc.so.2";
  EXPECT_DOUBLE_EQ(process.Account().overhead, 1000 * 24.0 + 50'000 * 8.0);
}

TEST(Memory, OfAnEarlierPointIsInProportionToWhatWasLiveThen) {
  Looked process;
  process.point.domain_live[0] /= 2;
  process.point.domain_live[1] = 0;
  EXPECT_DOUBLE_EQ(process.Account().overhead, 500 * 8.0);
}

TEST(Memory, TellsHeapechosOwnFileFromOthers) {
  Looked process;
  model::MemoryAccount account = process.Account();
  EXPECT_EQ(account.file_backed, 10.0 * kMiB);
  EXPECT_DOUBLE_EQ(account.own, 2.0 * kMiB + 528) << "the file, and a small object that malloc has";
  process.recording.disk_bytes = 50 * kMiB;  // a copy without holes
  account = process.Account();
  EXPECT_EQ(account.file_backed, 0);
}

TEST(Memory, IsNotKnownWhereNobodyLooked) {
  Looked process;
  process.point.rss_known = false;
  EXPECT_FALSE(process.Account().known);
}

}  // namespace
}  // namespace heapecho::aggregator

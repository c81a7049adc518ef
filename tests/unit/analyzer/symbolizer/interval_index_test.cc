// SPDX-License-Identifier: Apache-2.0
#include "analyzer/symbolizer/interval_index.h"

#include <gtest/gtest.h>

#include <random>

namespace heapecho::symbolizer {
namespace {

using Index = IntervalIndex<int>;

int At(const Index& index, uint64_t address) {
  const Index::Entry* entry = index.Find(address);
  return entry == nullptr ? -1 : entry->payload;
}

TEST(IntervalIndex, FindsNothingWhereThereIsNothing) {
  EXPECT_EQ(At(Index(), 1), -1);
  const Index index({{10, 20, 1}, {30, 40, 2}});
  EXPECT_EQ(At(index, 9), -1);
  EXPECT_EQ(At(index, 20), -1);
  EXPECT_EQ(At(index, 29), -1);
  EXPECT_EQ(At(index, 40), -1);
  EXPECT_EQ(At(index, UINT64_MAX), -1);
}

TEST(IntervalIndex, FindsTheRangeThatStartsLast) {
  const Index index({{0, 100, 1}, {10, 20, 2}, {12, 14, 3}});
  EXPECT_EQ(At(index, 13), 3);
  EXPECT_EQ(At(index, 14), 2);
  EXPECT_EQ(At(index, 50), 1);
}

TEST(IntervalIndex, OfEqualStartsFindsTheFirstGiven) {
  const Index index({{10, 20, 1}, {10, 20, 2}, {10, 30, 3}});
  EXPECT_EQ(At(index, 15), 1);
  EXPECT_EQ(At(index, 25), 3);
}

TEST(IntervalIndex, LeavesEmptyRangesOut) {
  const Index index({{10, 10, 1}, {20, 15, 2}, {5, 25, 3}});
  EXPECT_EQ(index.size(), 1U);
  EXPECT_EQ(At(index, 10), 3);
}

TEST(IntervalIndex, AgreesWithALinearSearchOnRandomRanges) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Index::Entry> entries;
    for (int i = 0; i < 30; ++i) {
      const uint64_t start = random() % 100;
      entries.push_back({start, start + random() % 30, i});
    }
    const Index index(entries);
    for (uint64_t address = 0; address < 140; ++address) {
      const Index::Entry* expected = nullptr;
      for (const Index::Entry& entry : entries) {
        if (entry.start <= address && address < entry.end &&
            (expected == nullptr || entry.start > expected->start)) {
          expected = &entry;
        }
      }
      ASSERT_EQ(At(index, address), expected == nullptr ? -1 : expected->payload);
    }
  }
}

}  // namespace
}  // namespace heapecho::symbolizer

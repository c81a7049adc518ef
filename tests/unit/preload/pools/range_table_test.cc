// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_table.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <vector>

namespace heapecho::pools {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uintptr_t kBase = uintptr_t{1} << 32;

// What the table has told of each stack's totals, and which slots were written.
struct Told {
  std::map<uint32_t, int64_t> bytes, objects;
  std::map<uint32_t, int> written;
};
Told* g_told = nullptr;

void Taken(const Range& range, uint64_t bytes, uint32_t objects) {
  g_told->bytes[range.stack] -= static_cast<int64_t>(bytes);
  g_told->objects[range.stack] -= objects;
}
void Written(uint32_t slot) { ++g_told->written[slot]; }

class RangeTableTest : public testing::Test {
 protected:
  void SetUp() override {
    g_told = &told_;
    ASSERT_TRUE(table_.Initialize(64, {.taken = Taken, .written = Written}));
  }

  static Range Seen(uint64_t page, uint64_t pages, uint32_t stack) {
    Range range = {};
    range.start = kBase + page * kPage;
    range.length = pages * kPage;
    range.counted = range.size = range.length;
    range.stack = stack;
    range.weight = stack != 0 ? kWeightOne : 0;
    range.objects = stack != 0 ? kWeightOne : 0;
    range.kind = RangeKind::kAnonymous;
    range.domain = 3;
    range.flags = kRangeSeen;
    return range;
  }
  static Range Line(uint64_t page, uint64_t pages, RangeKind kind) {
    Range range = {};
    range.start = kBase + page * kPage;
    range.length = pages * kPage;
    range.kind = kind;
    range.domain = kNobodysDomain;
    return range;
  }
  bool Insert(const Range& range) {
    told_.bytes[range.stack] += static_cast<int64_t>(range.counted);
    told_.objects[range.stack] += range.objects;
    return table_.Insert(range);
  }
  bool Remove(uint64_t page, uint64_t pages) {
    return table_.Remove(kBase + page * kPage, kBase + (page + pages) * kPage);
  }
  bool Move(uintptr_t start, uint64_t length, const Range& to) {
    Departed was;
    const bool left = table_.Depart(start, start + length, &was);
    return table_.Arrive(was, to) && left;
  }
  // Pairs of pages, first and behind the last, in order.
  std::vector<std::pair<uint64_t, uint64_t>> Pages() const {
    std::vector<std::pair<uint64_t, uint64_t>> pages;
    Range range;
    for (uintptr_t at = 0; table_.Next(at, &range); at = range.end()) {
      pages.emplace_back((range.start - kBase) / kPage, (range.end() - kBase) / kPage);
    }
    return pages;
  }

  using Pairs = std::vector<std::pair<uint64_t, uint64_t>>;
  Told told_;
  RangeTable table_;
};

TEST_F(RangeTableTest, AnUnmapInTheMiddleLeavesBothEnds) {
  Insert(Seen(0, 10, 1));
  EXPECT_TRUE(Remove(4, 2));
  EXPECT_EQ(Pages(), (Pairs{{0, 4}, {6, 10}}));
  EXPECT_EQ(told_.bytes[1], 8 * kPage);
}

TEST_F(RangeTableTest, ASplitWithoutAPartTakenLeavesEverythingAsItIs) {
  Insert(Seen(0, 10, 1));
  EXPECT_TRUE(Remove(4, 0));
  EXPECT_EQ(Pages(), (Pairs{{0, 10}}));
  EXPECT_EQ(told_.objects[1], kWeightOne);
}

TEST_F(RangeTableTest, AMappingOverOthersTakesTheirPlace) {
  Insert(Seen(0, 4, 1));
  Insert(Seen(4, 4, 2));
  Insert(Seen(2, 4, 3));
  EXPECT_EQ(Pages(), (Pairs{{0, 2}, {2, 6}, {6, 8}}));
  EXPECT_EQ(told_.bytes[1], 2 * kPage);
  EXPECT_EQ(told_.bytes[2], 2 * kPage);
  EXPECT_EQ(told_.bytes[3], 4 * kPage);
}

TEST_F(RangeTableTest, WithTheLastPieceNothingIsLeftOfTheTotalsHoweverItWasCut) {
  Range range = Seen(0, 9, 1);
  range.weight = 700;
  range.objects = 700;
  Insert(range);
  for (const uint64_t page : {4, 1, 7, 0, 2, 3, 5, 8, 6}) EXPECT_TRUE(Remove(page, 1));
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_EQ(told_.bytes[1], 0);
  EXPECT_EQ(told_.objects[1], 0);
}

TEST_F(RangeTableTest, WhatIsInNoTotalsIsJoinedWithItsNeighbours) {
  Insert(Seen(0, 2, 0));
  Insert(Seen(4, 2, 0));
  Insert(Seen(2, 2, 0));
  EXPECT_EQ(Pages(), (Pairs{{0, 4}, {4, 6}}));
  Insert(Seen(8, 2, 5));
  Insert(Seen(10, 2, 5));
  EXPECT_EQ(table_.size(), 4u);
}

TEST_F(RangeTableTest, WithoutRoomTheNewRangeIsInNoTotals) {
  for (uint64_t i = 0; i < 64; ++i) EXPECT_TRUE(Insert(Seen(i * 4, 3, 1)));
  EXPECT_FALSE(Insert(Seen(1000, 2, 2)));
  EXPECT_EQ(told_.bytes[2], 0);
  EXPECT_EQ(told_.objects[2], 0);
  // Nor is the piece of a split that found no room.
  EXPECT_FALSE(Remove(1, 1));
  EXPECT_EQ(told_.bytes[1], (64 * 3 - 2) * static_cast<int64_t>(kPage));
}

TEST_F(RangeTableTest, AMoveKeepsTheKindAndTakesTheNewTotals) {
  Range range = Seen(0, 4, 1);
  range.kind = RangeKind::kShared;
  Insert(range);
  const Range moved = Seen(100, 8, 2);
  told_.bytes[2] += static_cast<int64_t>(moved.counted);
  EXPECT_TRUE(Move(kBase, 4 * kPage, moved));
  Range found;
  ASSERT_TRUE(table_.Next(0, &found));
  EXPECT_EQ(found.start, moved.start);
  EXPECT_EQ(found.kind, RangeKind::kShared);
  EXPECT_EQ(told_.bytes[1], 0);
  EXPECT_EQ(told_.bytes[2], 8 * kPage);
}

TEST_F(RangeTableTest, AMovedFileCountsThePagesThatItHad) {
  Range file = Seen(0, 4, 1);
  file.kind = RangeKind::kFile;
  file.flags |= kRangeMeasured;
  file.counted = 3 * kPage;
  Insert(file);
  const Range moved = Seen(100, 8, 2);
  told_.bytes[2] += static_cast<int64_t>(moved.counted);
  Move(kBase, 4 * kPage, moved);
  EXPECT_EQ(told_.bytes[1], 0);
  EXPECT_EQ(told_.bytes[2], 3 * kPage);
}

TEST_F(RangeTableTest, MovedRawMaterialStaysOutOfTheTotals) {
  Range reserve = Seen(0, 4, 0);
  reserve.flags |= kRangeReserve;
  Insert(reserve);
  const Range moved = Seen(100, 8, 2);
  told_.bytes[2] += static_cast<int64_t>(moved.counted);
  told_.objects[2] += moved.objects;
  Move(kBase, 4 * kPage, moved);
  EXPECT_EQ(told_.bytes[2], 0);
  EXPECT_EQ(told_.objects[2], 0);
}

TEST_F(RangeTableTest, WhatAnAdoptedLibraryHasMappedIsReserveAndNotLive) {
  Range range = Seen(0, 4, 1);
  range.caller = 0x1000;
  Insert(range);
  Insert(Seen(8, 4, 1));
  table_.Adopt(0x800, 0x1800, 2);
  EXPECT_EQ(told_.bytes[1], 4 * kPage);
  Range found;
  ASSERT_TRUE(table_.Next(0, &found));
  EXPECT_EQ(found.domain, 2);
  EXPECT_EQ(found.flags & kRangeReserve, kRangeReserve);
}

TEST_F(RangeTableTest, PagesGivenBackLeaveTheTotalsAndMeasuringBringsThemBack) {
  Insert(Seen(0, 8, 1));
  table_.GiveBack(kBase + 2 * kPage, kBase + 6 * kPage);
  EXPECT_EQ(told_.bytes[1], 4 * kPage);
  EXPECT_EQ(Pages(), (Pairs{{0, 8}}));
  Range found;
  EXPECT_EQ(table_.Measure(kBase, 8 * kPage, 7 * kPage, 5, &found), 3 * kPage);
  EXPECT_EQ(found.counted, 7 * kPage);
  EXPECT_EQ(table_.Measure(kBase, 8 * kPage, 7 * kPage, 6, &found), 0u);
  EXPECT_EQ(table_.Measure(kBase, 8 * kPage, 2 * kPage, 7, &found), 0u);
  EXPECT_EQ(told_.bytes[1],
            static_cast<int64_t>(4 * kPage - 5 * kPage));  // what was more, the caller adds
  EXPECT_EQ(table_.Measure(kBase, 4 * kPage, 8 * kPage, 8, &found), 0u);  // another range by now
}

TEST_F(RangeTableTest, ASweepAddsWhatWasNotSeenAndRemovesWhatIsGone) {
  Insert(Seen(2, 2, 1));
  Insert(Seen(10, 2, 2));
  Insert(Seen(20, 2, 3));
  table_.BeginSweep();
  table_.Sweep(Line(0, 6, RangeKind::kAnonymous));  // around the first, which the kernel joined
  table_.Sweep(Line(10, 1, RangeKind::kAnonymous));
  table_.Sweep(Line(30, 1, RangeKind::kFile));
  table_.EndSweep();
  EXPECT_EQ(Pages(), (Pairs{{0, 2}, {2, 4}, {4, 6}, {10, 11}, {30, 31}}));
  EXPECT_EQ(told_.bytes[1], 2 * kPage);
  EXPECT_EQ(told_.bytes[2], kPage);
  EXPECT_EQ(told_.bytes[3], 0);
}

TEST_F(RangeTableTest, ASweepRenamesWhatWasNotSeenAndLeavesWhatWas) {
  table_.BeginSweep();
  table_.Sweep(Line(0, 8, RangeKind::kAnonymous));
  table_.EndSweep();
  Insert(Seen(4, 2, 1));
  table_.BeginSweep();
  table_.Sweep(Line(0, 8, RangeKind::kStack));
  table_.EndSweep();
  Range found;
  ASSERT_TRUE(table_.Next(kBase, &found));
  EXPECT_EQ(found.kind, RangeKind::kStack);
  EXPECT_EQ(found.length, 4 * kPage);
  ASSERT_TRUE(table_.Next(kBase + 4 * kPage, &found));
  EXPECT_EQ(found.kind, RangeKind::kAnonymous);
  ASSERT_TRUE(table_.Next(kBase + 6 * kPage, &found));
  EXPECT_EQ(found.kind, RangeKind::kStack);
  EXPECT_EQ(table_.size(), 3u);
}

TEST_F(RangeTableTest, ASweepKnowsThatTheLibrarysOwnMemoryIsNotThePrograms) {
  Insert(Seen(2, 2, 1));
  table_.BeginSweep();
  table_.Sweep(Line(0, 6, RangeKind::kOwn));
  table_.EndSweep();
  EXPECT_EQ(Pages(), (Pairs{{0, 6}}));
  EXPECT_EQ(told_.bytes[1], 0);
}

// Against a model that knows each page by itself.
TEST_F(RangeTableTest, AgreesWithAModelOfSinglePagesAtAnyPatternOfCalls) {
  constexpr uint64_t kPages = 96;
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    told_ = {};
    table_.Clear();
    std::mt19937 random(seed);
    std::vector<uint32_t> model(kPages, 0);  // the stack that mapped it; 0: nobody
    uint32_t stack = 0;
    const auto below = [&random](uint64_t limit) { return random() % limit; };
    for (int step = 0; step < 120; ++step) {
      const uint64_t first = below(kPages);
      const uint64_t pages = 1 + below(kPages - first < 12 ? kPages - first : 12);
      switch (below(4)) {
        case 0:
        case 1: {
          ++stack;
          ASSERT_TRUE(Insert(Seen(first, pages, stack)));
          for (uint64_t i = first; i < first + pages; ++i) model[i] = stack;
          break;
        }
        case 2:
          ASSERT_TRUE(Remove(first, pages));
          for (uint64_t i = first; i < first + pages; ++i) model[i] = 0;
          break;
        case 3: {  // a remap of what may be several ranges and holes is refused by the kernel; of
                   // one it moves
          if (model[first] == 0) break;
          uint64_t length = 1;
          while (first + length < kPages && length < pages && model[first + length] == model[first])
            ++length;
          const uint64_t to = below(kPages);
          const uint64_t grown = 1 + below(kPages - to < 12 ? kPages - to : 12);
          const bool overlaps = to < first + length && first < to + grown;
          if (overlaps) break;
          ++stack;
          Range moved = Seen(to, grown, stack);
          told_.bytes[stack] += static_cast<int64_t>(moved.counted);
          told_.objects[stack] += moved.objects;
          ASSERT_TRUE(Move(kBase + first * kPage, length * kPage, moved));
          for (uint64_t i = first; i < first + length; ++i) model[i] = 0;
          for (uint64_t i = to; i < to + grown; ++i) model[i] = stack;
          break;
        }
      }
    }
    std::vector<uint32_t> have(kPages, 0);
    std::map<uint32_t, int64_t> bytes;
    Range range;
    uintptr_t last = 0;
    for (uintptr_t at = 0; table_.Next(at, &range); at = range.end()) {
      ASSERT_GE(range.start, last);
      last = range.end();
      for (uintptr_t page = range.start; page < range.end(); page += kPage) {
        have[(page - kBase) / kPage] = range.stack;
      }
      bytes[range.stack] += static_cast<int64_t>(range.length);
      EXPECT_EQ(range.counted, range.length);
    }
    ASSERT_EQ(have, model) << "seed " << seed;
    for (const auto& [id, total] : told_.bytes)
      ASSERT_EQ(total, bytes[id]) << "seed " << seed << " stack " << id;
    table_.Remove(0, UINTPTR_MAX);
    for (const auto& [id, total] : told_.objects)
      ASSERT_EQ(total, 0) << "seed " << seed << " stack " << id;
  }
}

}  // namespace
}  // namespace heapecho::pools

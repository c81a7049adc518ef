// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_changes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

namespace heapecho::pools {
namespace {

using Kind = RangeChange::Kind;

constexpr uint64_t kPage = 4096;
constexpr uint64_t kBase = uint64_t{1} << 32;

uintptr_t Page(uint64_t page) { return kBase + page * kPage; }

Range Seen(uint64_t page, uint64_t pages, uint32_t stack) {
  Range range = {};
  range.start = Page(page);
  range.length = range.counted = range.size = pages * kPage;
  range.stack = stack;
  range.weight = range.objects = kWeightOne;
  range.kind = RangeKind::kAnonymous;
  range.flags = kRangeSeen;
  return range;
}

// Bytes in each stack's totals, by what the table says was taken off.
std::map<uint32_t, int64_t>* g_bytes;

class RangeChangesTest : public testing::Test {
 protected:
  void SetUp() override {
    g_bytes = &bytes_;
    ASSERT_TRUE(log_.Initialize());
    ASSERT_TRUE(table_.Initialize(1 << 10, {.taken = Taken, .written = nullptr}));
  }

  static void Taken(const Range& range, uint64_t bytes, uint32_t) {
    (*g_bytes)[range.stack] -= static_cast<int64_t>(bytes);
  }

  bool Map(const Range& range) {
    bytes_[range.stack] += static_cast<int64_t>(range.counted);
    return log_.Append({.kind = Kind::kMap, .start = 0, .end = 0, .range = range});
  }
  uint64_t Open(uint64_t page, uint64_t pages) { return log_.Open(Page(page), Page(page + pages)); }
  bool Unmapped(uint64_t place) { return log_.Close(place, Kind::kUnmap, {}); }
  bool Moved(uint64_t place, const Range& range) {
    bytes_[range.stack] += static_cast<int64_t>(range.counted);
    return log_.Close(place, Kind::kMove, range);
  }
  void Make() { ASSERT_EQ(MakeChanges(&log_, &table_), 0u); }

  // By page, the stack that mapped it.
  std::map<uint64_t, uint32_t> Pages() const {
    std::map<uint64_t, uint32_t> pages;
    Range range;
    for (uintptr_t at = 0; table_.Next(at, &range); at = range.end()) {
      for (uintptr_t page = range.start; page < range.end(); page += kPage)
        pages[(page - kBase) / kPage] = range.stack;
    }
    return pages;
  }

  RangeLog log_ = {};
  RangeTable table_ = {};
  std::map<uint32_t, int64_t> bytes_;
};

// A thread that was stopped in munmap, behind the kernel's work, used to stop the table; and what
// another was given there must not go when it comes back.
TEST_F(RangeChangesTest, WhatIsMappedWhereAnOpenCallUnmapsIsThereBeforeItReturnsAndAfter) {
  Map(Seen(0, 4, 1));
  const uint64_t open = Open(0, 4);
  for (uint32_t stack = 2; stack < 3 * RangeLog::kPlaces; ++stack) {
    ASSERT_TRUE(Map(Seen(1, 2, stack)));
    Make();
    ASSERT_EQ(Pages(), (std::map<uint64_t, uint32_t>{{1, stack}, {2, stack}}));
    const uint64_t other = Open(1, 2);
    ASSERT_TRUE(Unmapped(other));
    Make();
    ASSERT_TRUE(Pages().empty());
  }
  Map(Seen(1, 2, 7));
  Make();
  EXPECT_TRUE(Unmapped(open));
  Make();
  EXPECT_EQ(Pages(), (std::map<uint64_t, uint32_t>{{1, 7}, {2, 7}}));
  EXPECT_EQ(bytes_[1], 0);
}

TEST_F(RangeChangesTest, AMappingThatWasThereBeforeTheCallWasOpenedGoesWithIt) {
  Map(Seen(0, 4, 1));
  const uint64_t open = Open(0, 4);  // the mapping is still in the log
  Make();
  EXPECT_EQ(Pages().size(), 4u);
  EXPECT_TRUE(Unmapped(open));
  Make();
  EXPECT_TRUE(Pages().empty());
  EXPECT_EQ(bytes_[1], 0);
}

TEST_F(RangeChangesTest, WhatMovedAwayFromUnderAMappingArrivesAsWhatItWas) {
  Range shared = Seen(0, 4, 1);
  shared.kind = RangeKind::kShared;
  Map(shared);
  const uint64_t open = Open(0, 4);
  Map(Seen(2, 1, 2));
  Make();
  EXPECT_EQ(Pages(), (std::map<uint64_t, uint32_t>{{2, 2}}));
  EXPECT_TRUE(Moved(open, Seen(8, 5, 3)));
  Make();
  EXPECT_EQ(Pages().size(), 6u);
  Range moved;
  ASSERT_TRUE(table_.Next(Page(8), &moved));
  EXPECT_EQ(moved.kind, RangeKind::kShared);
  EXPECT_EQ(bytes_[1], 0);
  EXPECT_EQ(bytes_[3], static_cast<int64_t>(5 * kPage));
}

TEST_F(RangeChangesTest, AMoveArrivesAfterWhatWasUnmappedThereWhileItWasOpen) {
  Map(Seen(0, 2, 1));
  Map(Seen(2, 2, 2));
  const uint64_t move = Open(0, 2);
  const uint64_t unmapping = Open(2, 2);
  ASSERT_TRUE(Unmapped(unmapping));
  ASSERT_TRUE(Moved(move, Seen(0, 4, 3)));  // it grew into the hole
  Make();
  EXPECT_EQ(Pages().size(), 4u);
  EXPECT_EQ(Pages()[3], 3u);
}

// Threads as state machines over a kernel that knows each page: each call is opened, done by the
// kernel and told of at moments that a generator picks, some threads are stopped for long in
// between, and whoever takes out does so at any moment.
TEST_F(RangeChangesTest, AgreesWithTheKernelHoweverThreadsAreStopped) {
  constexpr uint64_t kPages = 48, kThreads = 6;
  enum Step { kIdle, kOpened, kDone };
  struct Thread {
    Step step = kIdle;
    bool moves = false;
    uint64_t place = 0, first = 0, pages = 0;  // what it takes away
    Range to = {};                             // where it has moved to
    int stopped = 0;
  };
  for (uint32_t seed = 1; seed <= 400; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&random](uint64_t limit) { return random() % limit; };
    std::array<uint32_t, kPages> kernel = {};  // the stack that mapped it; 0: nobody
    // Mappings that some thread knows of and nobody is about to take away, by first page.
    std::map<uint64_t, uint64_t> known;
    std::array<Thread, kThreads> threads;
    uint32_t stack = 0;
    // Where the kernel has room; kPages: nowhere.
    const auto hole = [&](uint64_t pages) {
      const uint64_t from = below(kPages);
      for (uint64_t i = 0; i < kPages; ++i) {
        const uint64_t first = (from + i) % kPages;
        if (first + pages > kPages) continue;
        const auto at = kernel.begin() + static_cast<std::ptrdiff_t>(first);
        if (std::all_of(at, at + static_cast<std::ptrdiff_t>(pages),
                        [](uint32_t who) { return who == 0; }))
          return first;
      }
      return kPages;
    };
    const auto fill = [&](uint64_t first, uint64_t pages, uint32_t who) {
      for (uint64_t i = first; i < first + pages; ++i) kernel[i] = who;
    };
    const auto go_on = [&](Thread& thread, bool may_begin) {
      if (thread.step == kIdle) {
        if (!may_begin) return;
        const uint64_t pages = 1 + below(6);
        if (known.empty() || below(2) == 0) {
          const uint64_t first = hole(pages);
          if (first == kPages) return;
          fill(first, pages, ++stack);
          ASSERT_TRUE(Map(Seen(first, pages, stack)));
          known[first] = pages;
          return;
        }
        const auto what =
            std::next(known.begin(), static_cast<std::ptrdiff_t>(below(known.size())));
        thread.first = what->first;
        thread.pages = what->second;
        known.erase(what);
        thread.moves = below(3) == 0;
        thread.place = Open(thread.first, thread.pages);
        ASSERT_NE(thread.place, RangeLog::kNoPlace);
        thread.step = kOpened;
      } else if (thread.step == kOpened) {
        uint32_t who = 0;
        fill(thread.first, thread.pages, 0);
        if (thread.moves) {
          const uint64_t pages = 1 + below(6);
          const uint64_t to = hole(pages);
          if (to == kPages) {
            thread.moves = false;
          } else {
            who = ++stack;
            fill(to, pages, who);
            thread.to = Seen(to, pages, who);
          }
        }
        thread.step = kDone;
      } else {
        if (thread.moves) {
          ASSERT_TRUE(Moved(thread.place, thread.to));
          known[(thread.to.start - kBase) / kPage] = thread.to.length / kPage;
        } else {
          ASSERT_TRUE(Unmapped(thread.place));
        }
        thread.step = kIdle;
      }
      if (below(8) == 0) thread.stopped = static_cast<int>(below(200));
    };
    for (int step = 0; step < 3000; ++step) {
      Thread& thread = threads[below(kThreads)];
      if (thread.stopped > 0) {
        --thread.stopped;
        continue;
      }
      go_on(thread, true);
      if (below(4) == 0) Make();
    }
    for (Thread& thread : threads) {
      while (thread.step != kIdle) go_on(thread, false);
    }
    Make();
    std::map<uint64_t, uint32_t> expected;
    for (uint64_t page = 0; page < kPages; ++page) {
      if (kernel[page] != 0) expected[page] = kernel[page];
    }
    ASSERT_EQ(Pages(), expected) << "seed " << seed;
    std::map<uint32_t, int64_t> bytes;
    for (const auto& [page, who] : expected) bytes[who] += kPage;
    for (const auto& [who, total] : bytes_) ASSERT_EQ(total, bytes[who]) << "seed " << seed;
    table_.Clear();
    bytes_.clear();
  }
}

}  // namespace
}  // namespace heapecho::pools

// SPDX-License-Identifier: Apache-2.0
// The history: points of the process's life in the recording, over any length of run in the same space.
//
// A point says how much memory there was of each kind and which stacks held it: those that held most, and those that
// grew most since a moment that lies between the beginning and half of the life back. When the slots are full, a point
// is merged into its later neighbour (which keeps its own moment and takes over the highest words of both), that pair
// of all whose span is shortest against what its age asks for. With 500 slots an age asks for a fifteenth of itself, and
// at most for a two-hundredth of the life: the last minutes stay in seconds, a week in hours.
//
// Alternatives: halving everything when full would leave the last minutes of a long run as coarse as its first ones;
// a ring of seconds beside it would need a second table of stacks.
//
// Lock-free in that nobody waits: the caller sees to it that one thread at a time is inside. A kill between any two
// stores leaves every point that was there: format.h says how. Nothing is allocated but in Initialize().
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/recording/layout.h"
#include "preload/recording/recording.h"
#include "preload/wire/format.h"

namespace heapecho::recording {

class History {
 public:
  // False without memory.
  bool Initialize(const Layout& layout);

  // The point to be added: set its words from time_ns to flags but for those by domain and of stacks.
  wire::HistoryPoint& draft() { return draft_->point; }

  // Adds it. The other words are made here from `stacks`, the private wire::StackRecords, `count` of them, which other
  // threads may be changing.
  void Add(Recording& recording, const void* stacks, uint32_t count);

  // In a forked child: the points are the parent's.
  void Clear() {
    points_ = 0;
    baseline_ns_ = 0;
  }

  uint32_t points() const { return points_; }

 private:
  // What a merge needs of a point, so that nothing is read back from the file.
  struct Entry {
    uint64_t from_ns, time_ns;
    uint64_t rss_most, cgroup_most, live_most;
    uint32_t slot;
    uint32_t merged;
    uint32_t cover;  // which of the two covers is valid
  };
  static constexpr uint32_t kBuckets = 512;

  static void StoreCover(char* slot, Entry& entry);
  static uint32_t BucketOf(uint64_t value);
  uint64_t GrowthOf(const char* record, uint32_t stack, uint64_t live) const;
  void KeepBaseline(const char* stacks, uint32_t count, uint64_t now);
  void ListStacks(const char* stacks, uint32_t count);
  uint32_t PairToMerge() const;
  uint32_t FreeSlot(Recording& recording);

  uint32_t slots_ = 0;
  uint32_t listed_ = 0;  // stacks that a point has room for
  uint32_t stacks_ = 0;
  uint32_t points_ = 0;
  uint64_t first_ns_ = 0;
  uint64_t baseline_ns_ = 0;
  Entry* entries_ = nullptr;  // by time
  uint64_t* baseline_ = nullptr;  // live bytes by stack at baseline_ns_
  // The point in the making.
  struct Draft {
    uint32_t by_live[kBuckets], by_growth[kBuckets];
    wire::HistoryPoint point;
    wire::HistoryStack stacks[1];  // listed_ of them
  };
  Draft* draft_ = nullptr;
};

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// The log of changes to the address space: every thread appends, one at a time takes out, in the
// order in which places were reserved.
//
// A place is reserved before a call that takes pages away (munmap, mremap, mmap over what is there)
// and filled when the call has returned; a mapping that is new gets its place afterwards. So what
// one thread unmaps and another is given at once stands in that order.
//
// Lock-free and signal-safe; nothing waits. Reserve() refuses when the log is full: the caller
// counts, and /proc/self/maps makes up for it. A place that was reserved and never filled (a thread
// that jumped out of the call) stops the log until Void() passes over it; who fills it after that
// is told. Zero-initialised: refuses.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/pools/range_table.h"

namespace heapecho::pools {

struct RangeChange {
  enum class Kind : uint8_t {
    kNothing,   // the call failed
    kMap,       // `range`
    kUnmap,     // `start` to `end`
    kMove,      // what was at `start` to `end` is `range` now
    kAdopt,     // what code between `start` and `end` mapped is reserve of range.domain
    kGiveBack,  // the pages of `start` to `end`
  };
  Kind kind;
  uintptr_t start, end;
  Range range;
};

class RangeLog {
 public:
  static constexpr uint32_t kPlaces = 256;
  static constexpr uint64_t kNoPlace = UINT64_MAX;

  bool Initialize();

  // The next place; kNoPlace when all are taken.
  uint64_t Reserve();
  // False: the place was passed over meanwhile, nothing was written.
  bool Fill(uint64_t place, const RangeChange& change);

  // --- By one thread at a time.
  // The oldest change; false when there is none, or it is not filled yet.
  bool Take(RangeChange* change);
  // Whether Take() would give one. By any thread.
  bool HasNext() const;
  // The oldest place if it is reserved and not filled, else kNoPlace; and passing over it. Whether
  // it did.
  uint64_t Stuck() const;
  bool Void();

  // In a forked child, whose parent's threads will not fill what they reserved: passes over all
  // those, keeps the rest. False: there were such places.
  bool AfterFork();

 private:
  // `word` is place << 2 | phase.
  enum Phase : uint64_t { kFree = 0, kReserved = 1, kFilling = 2, kFilled = 3 };
  struct Place {
    std::atomic<uint64_t> word;
    RangeChange change;
  };
  static constexpr uint64_t Word(uint64_t place, Phase phase) { return place << 2 | phase; }
  Place& At(uint64_t place) const { return places_[place % kPlaces]; }

  Place* places_ = nullptr;
  std::atomic<uint64_t> tail_;  // the next place to reserve, or one that lags behind
  std::atomic<uint64_t> head_;  // the oldest
};

}  // namespace heapecho::pools

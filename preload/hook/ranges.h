// SPDX-License-Identifier: Apache-2.0
// The ranges of this process's address space, kept true: what the program maps and unmaps itself,
// as it happens, and the rest as /proc/self/maps has it (range_look.h).
//
// Whoever changes something appends it to a log, and whoever finds the table free brings it up to
// date: nobody waits, and nothing of an allocator's is called, since allocators map with their
// locks held. Allocates nothing; errno stays. Private memory, so a forked child has its parent's
// table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/pools/range_log.h"
#include "preload/pools/range_table.h"
#include "preload/wire/format.h"

namespace heapecho::hook {

// Room for `capacity` ranges; false without memory. From the library's constructor, when the next
// malloc is known: what its own library maps is its raw material.
bool InitializeRanges(uint32_t capacity);

// Whether glibc serves malloc, whose calls nobody sees.
bool MallocMapsUnseen();

// Whether calls of this process are to be told of. False in a vforked child, and with
// HEAPECHO_MMAP=off.
bool RangesAreFollowed();

// Before a call that may take away the pages of `start` to `end`, rounded up to whole ones. The
// place is to be given to one of the following.
uint64_t RangeWillChange(uintptr_t start, uintptr_t end);
void RangeDidNotChange(uint64_t place);
void RangeUnmapped(uint64_t place);

// What was mapped, and by whom.
struct Mapping {
  uintptr_t start;
  uint64_t length;
  uintptr_t caller;
  int protection, flags, descriptor;  // as mmap has them
  bool heap;                          // by brk
};
// What was there before is what the program told of before.
void RangeMapped(const Mapping& mapping);
// What the place was opened for is at `to` now.
void RangeMoved(uint64_t place, const Mapping& to);
// The program can do without the contents of these pages.
void RangeGivenBack(uintptr_t start, uint64_t length);
// Whether what `caller` maps is raw material of a domain, which nobody needs to be told of when it
// is given back.
bool MapsRawMaterial(uintptr_t caller);

// What code between `start` and `end` maps is raw material of `domain` from now on, and what it has
// mapped, too. `which` of kMostArrows such files it is.
void AdoptRangesOf(size_t which, uintptr_t start, uintptr_t end, wire::Domain domain);

// --- For who looks at memory.
enum class NextRangeIs { kThere, kNone, kBusy };
// The first range that ends behind `address`. kBusy: another thread changes the table in this
// moment; ask again at another time. No range is held: it may be gone when this returns.
NextRangeIs NextRange(uintptr_t address, pools::Range* range);

// The table for oneself; false: another thread has it. While one has it, what others change waits
// in the log.
class RangesForOneself {
 public:
  RangesForOneself();
  ~RangesForOneself();
  RangesForOneself(const RangesForOneself&) = delete;
  RangesForOneself& operator=(const RangesForOneself&) = delete;
  explicit operator bool() const { return mine_; }
  pools::RangeTable& table();

 private:
  const bool mine_;
};

// When the file has begun: all of them into it, by whoever has the table next.
void MirrorRanges();
// Passes over calls that have not returned since the last time that this was called.
void PassOverStuckChanges();

// In a forked child, before any other call.
void RangesAfterFork();

}  // namespace heapecho::hook

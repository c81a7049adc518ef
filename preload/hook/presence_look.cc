// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/presence_look.h"

#include <string.h>

#include <atomic>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/hook/ranges.h"
#include "preload/hook/state.h"
#include "preload/recording/residency.h"

namespace heapecho::hook {
namespace {

using pools::Range;
using pools::RangeKind;
using recording::PagemapReader;
using recording::Residency;

constexpr uint64_t kMostNs = kMillisecond / 2;
// Nobody waits for an answer: so much of CPU time for the ranges, however long others have the processor meanwhile, and so
// long on the clock with the live blocks, of which a process of many gigabytes needs all.
constexpr uint64_t kMostAtTheEndNs = 20 * kMillisecond;
constexpr uint64_t kLongestAtTheEndNs = 200 * kMillisecond;
constexpr uint64_t kTimesWhatItTook = 1000;
constexpr size_t kBufferSize = PagemapReader::kBufferSize;
// Of live blocks: of smaller ones only the pages at their ends are in doubt.
constexpr size_t kMostBlocks = 64;
constexpr uint64_t kSmallestBlock = 64 << 10;

struct Bytes {
  uint64_t malloc_heap, arrow_reserve, own_private, own_file, stacks, file_private, shared_live,
      untouched, inherited;
};

// A round, and what the last whole one found. Of whoever looks at memory.
struct Round {
  bool under_way;
  bool ever_whole;
  bool has_swap;   // of the process
  uintptr_t next;  // ranges are done up to here
  uint64_t took_ns;
  uint64_t due_ns;
  Bytes sums, found;
};
constinit Round g_round = {};

// Bytes present of private memory, by mincore, up to `reached`; a hole in it ends it.
uint64_t PresentPrivate(char* buffer, uintptr_t start, uintptr_t end, uint64_t deadline,
                        uintptr_t* reached) {
  uint64_t pages = 0;
  uintptr_t at = start;
  do {
    const size_t most = kBufferSize * base::kPageSize;
    const size_t bytes = end - at < most ? end - at : most;
    const size_t count = bytes / base::kPageSize;
    if (base::Failed(base::Syscall(SYS_mincore, at, bytes, buffer))) {
      at = end;
      break;
    }
    memset(buffer + count, 0, base::RoundUp(count, 8) - count);
    for (size_t i = 0; i < count; i += 8) {
      uint64_t word;
      memcpy(&word, buffer + i, 8);
      pages += static_cast<uint64_t>(__builtin_popcountll(word & 0x0101010101010101));
    }
    at += bytes;
  } while (at < end && Now() < deadline);
  *reached = at;
  return pages * base::kPageSize;
}

// What was never touched of private memory. Only pagemap tells that from what is swapped out.
uint64_t Untouched(char* buffer, PagemapReader& pagemap, uintptr_t start, uintptr_t end,
                   uint64_t deadline, uintptr_t* reached) {
  if (!g_round.has_swap) {
    const uint64_t present = PresentPrivate(buffer, start, end, deadline, reached);
    return *reached - start - present;
  }
  Residency pages = {};
  *reached = end;
  if (!pagemap.Read(start, end, deadline, &pages)) return 0;
  *reached = pages.next;
  return pages.next - start - pages.present - pages.swapped;
}

// Which of the sums a range's private pages belong to; null: none.
uint64_t* SumOf(const Range& range, Bytes& sums) {
  if (range.kind == RangeKind::kStack) return &sums.stacks;
  if (range.kind != RangeKind::kAnonymous && range.kind != RangeKind::kBrkHeap) return nullptr;
  if ((range.flags & pools::kRangeReserve) == 0) return nullptr;
  switch (static_cast<wire::Domain>(range.domain)) {
    case wire::Domain::kMalloc:
      return &sums.malloc_heap;
    case wire::Domain::kArrow:
      return &sums.arrow_reserve;
    default:
      return nullptr;
  }
}

// In the totals of the domain mmap; of a measured one only what has pages is.
bool IsLiveMapping(const Range& range) {
  return range.domain == static_cast<uint8_t>(wire::Domain::kMmap) && range.weight != 0;
}

// Adds what is present of a range, from `at` on. Gives how far it came.
uintptr_t AddRange(const Range& range, uintptr_t at, char* buffer, PagemapReader& pagemap,
                   uint64_t deadline) {
  Bytes& sums = g_round.sums;
  uintptr_t reached = range.end();
  const bool is_private = range.kind == RangeKind::kAnonymous || range.kind == RangeKind::kBrkHeap;
  const bool is_live = IsLiveMapping(range);
  const bool is_whole = (range.flags & pools::kRangeMeasured) == 0;
  if (range.kind == RangeKind::kOwn || range.kind == RangeKind::kFile ||
      (range.kind == RangeKind::kShared && is_live)) {
    Residency pages = {};
    if (!pagemap.Read(at, range.end(), deadline, &pages)) return range.end();
    reached = pages.next;
    if (range.kind == RangeKind::kOwn) {
      sums.own_private += pages.present_private;
      sums.own_file += pages.present - pages.present_private;
    } else if (range.kind == RangeKind::kFile) {
      sums.file_private += pages.present_private;
    } else {
      sums.shared_live += pages.present;
      if (is_whole) sums.untouched += reached - at - pages.present - pages.swapped;
    }
  } else if (is_private && g_state.has_parent) {
    // Only pagemap tells what nobody wrote to since the fork.
    Residency pages = {};
    if (!pagemap.Read(at, range.end(), deadline, &pages)) return range.end();
    reached = pages.next;
    sums.inherited += pages.present_inherited;
    if (uint64_t* const sum = SumOf(range, sums)) {
      *sum += pages.present;
    } else if (is_live && is_whole) {
      sums.untouched += reached - at - pages.present - pages.swapped;
    }
  } else if (uint64_t* const sum = SumOf(range, sums)) {
    *sum += PresentPrivate(buffer, at, range.end(), deadline, &reached);
  } else if (is_private && is_live && is_whole) {
    sums.untouched += Untouched(buffer, pagemap, at, range.end(), deadline, &reached);
  }
  return reached;
}

struct LargeBlock {
  uint64_t size;
  uint32_t slot;
};

// For the time of a look.
struct Room {
  char buffer[kBufferSize];
  LargeBlock blocks[kMostBlocks];
};

// A heap with its smallest first: makes it one again from `at` on.
void SiftDown(LargeBlock* blocks, size_t count, size_t at) {
  for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && blocks[child + 1].size < blocks[child].size) ++child;
    if (blocks[at].size <= blocks[child].size) return;
    const LargeBlock smaller = blocks[child];
    blocks[child] = blocks[at];
    blocks[at] = smaller;
    at = child;
  }
}

// The largest live blocks, in no order that matters. How many.
size_t FindLargest(LargeBlock* blocks) {
  size_t count = 0;
  for (uint32_t slot = 0; slot < g_state.live.capacity(); ++slot) {
    const uint64_t size = g_state.live.SizeAt(slot);
    if (size < kSmallestBlock) continue;
    if (count < kMostBlocks) {
      blocks[count++] = {.size = size, .slot = slot};
      if (count < kMostBlocks) continue;
      for (size_t at = count / 2; at-- > 0;) SiftDown(blocks, count, at);
    } else if (size > blocks[0].size) {
      blocks[0] = {.size = size, .slot = slot};
      SiftDown(blocks, count, 0);
    }
  }
  return count;
}

// What of the largest live blocks was never touched. Blocks of this size are each their own sample,
// so they stand for themselves.
uint64_t UntouchedOfBlocks(Room& room, PagemapReader& pagemap, uint64_t deadline) {
  const size_t count = FindLargest(room.blocks);
  uint64_t untouched = 0;
  for (size_t i = 0; i < count && Now() < deadline; ++i) {
    const uint32_t slot = room.blocks[i].slot;
    live::Block block;
    if (!g_state.live.Look(slot, &block)) continue;
    const uint64_t version = g_state.live.Version(slot);
    const uintptr_t start = base::RoundUp(block.address, base::kPageSize);
    const uintptr_t end = (block.address + block.size) / base::kPageSize * base::kPageSize;
    if (start >= end) continue;
    uintptr_t reached;
    const uint64_t absent = Untouched(room.buffer, pagemap, start, end, deadline, &reached);
    if (g_state.live.Version(slot) == version) untouched += absent;  // else it was freed meanwhile
  }
  return untouched;
}

// Goes on until the deadline, with the live blocks until one of their own; true when the round is whole.
bool GoOn(Room& room, uint64_t deadline, uint64_t blocks_deadline) {
  PagemapReader pagemap(room.buffer, g_state.has_parent);
  do {
    Range range;
    switch (NextRange(g_round.next, &range)) {
      case NextRangeIs::kBusy:
        return false;
      case NextRangeIs::kNone:
        g_round.sums.untouched += UntouchedOfBlocks(room, pagemap, blocks_deadline);
        return true;
      case NextRangeIs::kThere:
        break;
    }
    const uintptr_t at = range.start > g_round.next ? range.start : g_round.next;
    g_round.next = AddRange(range, at, room.buffer, pagemap, deadline);
  } while (Now() < deadline);
  return false;
}

// The same where the process is about to end.
bool GoOnToTheEnd(Room& room) {
  const uint64_t start = Now();
  const uint64_t cpu_start = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
  const uint64_t latest = start + kLongestAtTheEndNs;
  for (uint64_t now = start; now < latest; now = Now()) {
    if (GoOn(room, now + kMostNs, latest)) return true;
    if (recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - cpu_start > kMostAtTheEndNs) break;
  }
  return false;
}

}  // namespace

uint32_t Pages(uint64_t bytes) {
  const uint64_t pages = bytes / base::kPageSize;
  return pages < UINT32_MAX ? static_cast<uint32_t>(pages) : UINT32_MAX;
}

void LookAtPresence(wire::HistoryPoint& moment, uint64_t now, bool is_last) {
  Round& round = g_round;
  if (is_last || (!round.under_way && now >= round.due_ns)) {
    round.under_way = true;
    round.next = 0;
    round.took_ns = 0;
    round.has_swap = moment.swap != 0;
    round.sums = {};
  }
  if (round.under_way) {
    if (void* const room = base::MapPrivate(sizeof(Room), "heapecho presence")) {
      const uint64_t start = Now();
      Room& at = *static_cast<Room*>(room);
      const bool whole = is_last ? GoOnToTheEnd(at) : GoOn(at, start + kMostNs, start + 2 * kMostNs);
      const uint64_t end = Now();
      base::Unmap(room, sizeof(Room));
      round.took_ns += end - start;
      if (whole) {
        round.under_way = false;
        round.ever_whole = true;
        round.found = round.sums;
        round.due_ns = end + round.took_ns * kTimesWhatItTook;
      }
    }
  }
  if (!round.ever_whole) return;
  const Bytes& found = round.found;
  moment.flags |= wire::kHistoryPresenceKnown;
  moment.parts.malloc_heap = Pages(found.malloc_heap);
  moment.parts.arrow_reserve = Pages(found.arrow_reserve);
  moment.parts.own_private = Pages(found.own_private);
  moment.parts.own_file = Pages(found.own_file);
  moment.parts.stacks = Pages(found.stacks);
  moment.file_private = Pages(found.file_private);
  moment.untouched = Pages(found.untouched);
  moment.shared_live = Pages(found.shared_live);
  moment.inherited = Pages(found.inherited);
}

void PresenceLookAfterFork() { g_round = {}; }

}  // namespace heapecho::hook

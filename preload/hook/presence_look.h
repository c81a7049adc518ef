// SPDX-License-Identifier: Apache-2.0
// How much of each part of the address space is present: what malloc, Arrow's pools and this
// library take their memory from, threads' stacks, libraries' data; and how much of live blocks was
// never touched.
//
// The kernel tells of private memory by mincore, at 1.5 ns a page that is there and 0.8 ns one that
// is not (4 KiB pages, Linux 6.18), where /proc/self/pagemap takes 20 and 3; of files' pages only
// pagemap knows which are this process's own copies. A round goes through all ranges (ranges.h); it
// stops after a part of a millisecond and goes on at the next look, so a reading is one of
// different moments, and each of its words is that of the last whole round.
//
// Part of a look at memory (memory_look.h): one thread at a time, allocates nothing, errno stays.
#pragma once

#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::hook {

// What pages count as: `bytes` in pages of 4 KiB, never more than a word holds.
uint32_t Pages(uint64_t bytes);

// Goes on with the round, if the last one's time a thousand times over has passed (or `is_last`:
// the process is about to end), and fills in the words of `moment` as they are after it.
void LookAtPresence(wire::HistoryPoint& moment, uint64_t now, bool is_last);

// In a forked child.
void PresenceLookAfterFork();

}  // namespace heapecho::hook

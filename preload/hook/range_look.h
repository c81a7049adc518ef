// SPDX-License-Identifier: Apache-2.0
// Reading /proc/self/maps, for the ranges that nobody told of: what libc, the loader and raw system
// calls map, and what a full log has lost.
#pragma once

#include <cstdint>

namespace heapecho::hook {

// Reads it where the last time is at least ten seconds and a thousand times its own time ago, and
// when the process exits
// (`is_last`); and counts the pages of ranges that are used page by page, a millisecond at a time,
// where that is a second and ten thousand times its time ago. No lock: where another thread has the
// table it is left out until next time. Allocates nothing, errno stays. Its time is added to
// own_ns.
void LookAtRangesIfDue(uint64_t now, bool is_last);

// In a forked child: its first look is due at once.
void RangeLookAfterFork();

}  // namespace heapecho::hook

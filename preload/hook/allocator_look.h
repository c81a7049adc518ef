// SPDX-License-Identifier: Apache-2.0
// Asks the allocator below what it keeps: glibc's mallinfo2, jemalloc's statistics.
//
// Both walk the allocator's lists with its locks held: microseconds as a rule, a third of a second
// where an arena has two million free chunks. So it is asked only where much of what is resident is
// in nobody's account, rarely (AskAllocatorIfDue), and only by a thread of which it is certain that
// it does not hold one of those locks itself, and that no lock is held by nobody:
//  - its whole stack can be walked, and no signal handler stands on it, which might have
//  interrupted
//    the allocator; nor a frame of an allocator's that is a library of its own (jemalloc maps
//    memory with its locks held, and mmap is hooked);
//  - the process came into being by exec or by fork(), after which the allocator's locks are free.
//    After a bare _Fork or clone they may be held by threads that are not there.
// While it is asked, signals wait: a handler of this thread that allocates would wait for a lock
// that the thread has. Another thread may wait for one of the locks as long as the asking takes.
#pragma once

#include <cstdint>

namespace heapecho::hook {

// From the library's constructor, when the next allocator is known.
void FindAllocatorsWord();

// What the allocator keeps of what it has from the system, bytes, by its last word. False: it was
// not asked, or what it said is of no use any more. `unaccounted` and `resident`: bytes of the
// process that nobody accounts for, and all; below a tenth nothing is asked, and nothing is kept
// that is worth a word. Asks anew when a thousand times the CPU time that it took and ten times the
// time on the clock have passed, and an eighth of the process's life, or a minute; `is_last`: the
// process is about to end, so at once where it takes little.
bool AskAllocatorIfDue(uint64_t now, uint64_t unaccounted, uint64_t resident, bool is_last,
                       uint64_t* kept);

// In a forked child. `locks_are_free`: by fork(), which sees to that.
void AllocatorLookAfterFork(bool locks_are_free);

// When it was asked last, the longest that took, how often, and the CPU time of all.
struct AllocatorLooks {
  uint64_t last_ns, longest_ns, count, cpu_ns;
};
AllocatorLooks AllocatorsLooks();

}  // namespace heapecho::hook

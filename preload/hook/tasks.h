// SPDX-License-Identifier: Apache-2.0
// Work that moves to other threads: on whose behalf the thread of a pool runs.
//
// Arrow reads and decodes in pools of its own, where no Python frame is. The function that hands a task to such a pool is
// hooked (arrow.h): the task is put into a wrapper that remembers the Python stack of who handed it over, and while the
// task runs, what its thread allocates is under that stack. A task that hands over others passes on whose it is. What
// the task does, and its end by an exception, are as without.
//
// Bounded: beyond kMostTasks at once, or kMostTasksPerSecond, tasks go unwrapped and are counted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/hook/thread_state.h"
#include "preload/pools/arrow_file.h"

namespace heapecho::hook {

inline constexpr uint32_t kMostTasks = 4096;
inline constexpr uint64_t kMostTasksPerSecond = 5000;

// The hook of one libarrow's thread pools, of `bank` (arrow.h). False where there is no memory, or the kernel refuses.
bool HookArrowTasks(size_t bank, const pools::ArrowFile& file);

// The Python node (Interner::InternPython) on whose behalf the thread runs; 0: its own. For use within an
// Interner::Use; it means the same until the thread's task ends.
uint32_t BehalfOf(const ThreadState& thread);

// InternSink::count_held.
void CountHeldByTasks(uint32_t* references);

}  // namespace heapecho::hook

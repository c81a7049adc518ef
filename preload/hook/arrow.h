// SPDX-License-Identifier: Apache-2.0
// Arrow, wherever it is loaded to: finds each libarrow and puts this library's functions into its
// vtables.
//
// A library that is not as expected is left as it is, and a fact says why. Vtables are private
// memory, so a forked child finds them as its parent had them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/pools/arrow_file.h"

namespace heapecho::hook {

inline constexpr size_t kMostArrows = 4;  // loaded at the same time

// Looks for each libarrow that has arrived, and forgets those that went. From the library's
// constructor, and when a thread's outermost dlopen has returned: never from within an allocation,
// since it reads the loader's list under the loader's lock. Allocates nothing; errno stays.
void LookForArrow();

// In a forked child: whoever was looking is not here.
void ArrowAfterFork();

// What became of each libarrow that was met, a line each, in order; null beyond the last. Lines
// live for ever.
const char* ArrowFact(size_t index);

// The hooks of the pools of one libarrow, `bank` of kMostArrows (arrow_pools.cc). Those of `pools`
// get what they forward to, then the vtables are changed: what frees first, since a block that is
// sampled must not be freed unseen. False where the kernel refuses.
bool HookArrowPools(size_t bank, const pools::ArrowFile& file);

// Whether that bank's hooks are in the vtables of `file`.
bool ArrowPoolsAreHooked(size_t bank, const pools::ArrowFile& file);

}  // namespace heapecho::hook

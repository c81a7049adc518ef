// SPDX-License-Identifier: Apache-2.0
// What the program maps, in the totals of the stacks that mapped it.
//
// A mapping of 64 KiB or more is taken as it is, with weight one; a smaller one, and where there
// are more than 500 a second, is sampled as an allocation is, by a trial of its own that leaves the
// countdown of malloc's bytes alone.
//
// mremap is an unmapping and a mapping with a trial of its own, as realloc is: a sampled range that
// kept its weight while it grew would stand for ranges that did not grow, and one that was not
// sampled when it was small would never be seen. Where it only shrinks, the rest keeps its stack.
//
// A file, address space that is mapped without access or without reserving memory for it, and what
// the program has given pages of back from, is used page by page: counted is what had pages when
// somebody looked.
#pragma once

#include <cstdint>

#include "preload/pools/range_table.h"

namespace heapecho::hook {

// Whether `range` is sampled: then its stack, weight and the rest are filled in, and it is in the
// totals. From within a guard, not nested. `now`: the moment.
void SampleMapping(class Guard& guard, pools::Range* range);

// RangeTable::Sink's.
void MappingTaken(const pools::Range& range, uint64_t bytes, uint32_t objects);

// `bytes` of a range that is in the totals got pages.
void MappingGrew(const pools::Range& range, uint64_t bytes);

// In a forked child that could not keep its parent's ranges: nothing that was mapped is live.
void ForgetMappings();

}  // namespace heapecho::hook

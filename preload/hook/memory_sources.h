// SPDX-License-Identifier: Apache-2.0
// What the parts of this process's memory are, as far as those who have them can be asked: what
// pymalloc has, what malloc keeps, what the control group holds by kind. For points of the history
// and the recording's header.
//
// Part of a look (memory_look.h): one thread at a time, allocates nothing, errno stays.
#pragma once

#include <cstdint>

#include "preload/recording/cgroup.h"
#include "preload/wire/format.h"

namespace heapecho::hook {

// The words of `moment` about parts, whose words about resident and live memory are set; of domains
// as they were at the look before. May ask the allocator (allocator_look.h). `is_last`: the process
// is about to end.
void FillParts(wire::HistoryPoint& moment, uint64_t now, bool is_last);

// The header's words about the control group by kind, and about the allocator. The former are read
// again when ten seconds and a thousand times the time that it took have passed.
void FillHeader(wire::FileHeader& header, uint64_t now, recording::CgroupScratch& scratch);

// In a forked child.
void MemorySourcesAfterFork();

}  // namespace heapecho::hook

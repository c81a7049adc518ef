// SPDX-License-Identifier: Apache-2.0
// The last look at the process's memory and its control group, in the recording's header: how near to its limit it
// was when it ended.
//
// No lock: where a look is under way, another one is left out. Allocates nothing, errno stays. Some 50 us a look.
#pragma once

#include <cstdint>

namespace heapecho::hook {

// At most once a second; every 100 ms where the group is above 85 % of its limit.
void LookAtMemoryIfDue(uint64_t now);
void LookAtMemory(uint64_t now);

// The most memory this program had resident; 0: unknown. Not getrusage's word, which is carried over
// exec: a small tool that a large service runs would look large.
uint64_t PeakRssBytes();

}  // namespace heapecho::hook

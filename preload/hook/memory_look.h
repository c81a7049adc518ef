// SPDX-License-Identifier: Apache-2.0
// A look at the process's memory and its control group: the recording's header says what was seen
// last, how near to its limit the process was when it ended, and the history keeps it with the
// stacks that held most.
//
// No lock: where a look is under way, another one is left out. Allocates nothing, errno stays. Some
// 50 us a look, and a tenth of a millisecond more where there are many stacks; its time is added to
// own_ns.
#pragma once

#include <cstdint>

namespace heapecho::hook {

// After an event: looks once a second (where the process has used too little CPU time in it for
// that, in ten), five times as often where the group is above 85 % of its limit; also where live
// memory is 2 % above what looks of the last seconds have seen, and at a request of more than 1 %
// of the limit. `request`: its bytes; 0: it was a
// free.
void LookAtMemoryIfDue(uint64_t now, uint64_t request);
// `is_last`: the process is about to end.
void LookAtMemory(uint64_t now, bool is_last = false);

// The most memory this program had resident; 0: unknown.
uint64_t PeakRssBytes();

}  // namespace heapecho::hook

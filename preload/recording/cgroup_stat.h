// SPDX-License-Identifier: Apache-2.0
// What the memory control group of this process holds by kind: memory.stat and its kin, v1 or v2.
//
// The kernel adds memory.stat up when it is read, over all processors: 20 us on a small machine and
// a millisecond on a large one, so it is asked more rarely than cgroup.h's few words. Inline system
// calls: signal-safe, allocates nothing, leaves errno alone.
#pragma once

#include <cstdint>

#include "preload/recording/cgroup.h"

namespace heapecho::recording {

// Bytes; 0 also: not told. `file` has `shmem` in it. `kernel` is all that the kernel takes, but for
// sockets, where it is told as a whole.
struct CgroupStat {
  uint64_t anon, file, shmem, inactive_file;
  uint64_t kernel, slab, page_tables, kernel_stack, sock;
  uint64_t peak;        // the most that was charged
  uint64_t limit_hits;  // how often the group was at its limit and had to find memory
  bool known;
};

// Of the group that ReadCgroupMemory() looks at.
CgroupStat ReadCgroupStat(CgroupScratch& scratch);

// The kinds in memory.stat's text. v1 has totals over the groups below, which count here as they do
// in memory.usage_in_bytes.
void ParseCgroupStat(const char* text, CgroupStat* stat);

}  // namespace heapecho::recording

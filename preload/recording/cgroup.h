// SPDX-License-Identifier: Apache-2.0
// What the kernel says of the memory control group that this process is in, v1 or v2.
//
// Read by inline system calls from /proc/self/cgroup and /sys/fs/cgroup: signal-safe, allocates
// nothing, leaves errno alone. Some 20 us a call.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::recording {

// Too large for a caller's stack.
struct CgroupScratch {
  char text[4096];
  char path[4096];
};

struct CgroupMemory {
  uint64_t limit;    // bytes, the lowest of the group's own and of those above it; 0: none
  uint64_t current;  // bytes charged to the group; 0: unknown
  uint64_t
      oom_kills;  // how often the OOM killer took a process of the group (v2: or of one below it)
  bool oom_kills_known;
};

// Of the innermost group that can be seen from here: inside a container its own, even where the
// path in /proc/self/cgroup is the host's.
CgroupMemory ReadCgroupMemory(CgroupScratch& scratch);

// The limit alone.
uint64_t CgroupMemoryLimit(CgroupScratch& scratch);

enum class CgroupVersion : uint8_t { kNone, kV1, kV2 };
// Makes scratch.path the directory of that group, for ReadCgroupFile(). kNone: the process is in no group that has a
// memory controller.
CgroupVersion FindCgroup(CgroupScratch& scratch);
// Reads a file of it ("/memory.stat") into scratch.text; false: it cannot be read.
bool ReadCgroupFile(CgroupScratch& scratch, const char* file);

// The number behind "\noom_kill " (or at the beginning) of memory.oom_control's or memory.events'
// text. False: it has none, as before Linux 4.13.
bool ParseOomKills(const char* text, uint64_t* kills);

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// What the kernel says of this process's memory, read from /proc/self/status.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::recording {

struct ProcessMemory {  // bytes; zero: not said
  uint64_t rss_anon, rss_file, rss_shmem, swap;
  uint64_t peak_rss;  // VmHWM: of this program, where getrusage's word is carried over exec
  uint32_t threads;
  bool known;
};

// `text`: scratch for the file, which has some 1,500 bytes, and more where the process is in many groups. Signal-safe,
// allocates nothing, leaves errno alone. Some 20 us.
ProcessMemory ReadProcessMemory(char* text, size_t room);

// The same of the file's text.
ProcessMemory ParseProcessMemory(const char* text);

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// Keeps a directory of recordings within its bytes: the oldest that are over make room for a new one.
#pragma once

#include <cstdint>

namespace heapecho::recording {

// Removes recordings until those in `directory` take at most `keep` bytes of disk, or nothing more may go:
// first those of processes that ended by themselves, oldest first; then those of killed ones, which somebody
// may still want to read; never one whose process may be alive (it runs here, or it is of another boot, host or
// pid namespace and did not say that it ended), and never one that a remaining one names as its parent.
// Any number of processes may do so at a time. Returns whether the directory is within `keep` now. Looks
// into kMostFiles files at most. Signal-safe, allocates nothing; costs a microsecond a file while there is room, a few more
// when there is none.
bool MakeRoom(const char* directory, uint64_t keep);

inline constexpr uint32_t kMostFiles = 4096;

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// Which pages of a range the kernel has, read from /proc/self/pagemap.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::recording {

struct Residency {
  uint64_t present;  // bytes, as this process has touched them: of shared memory its own share alone
  uint64_t present_private;  // bytes of them that are neither a file's nor shared: copies made by writing included
  uint64_t present_inherited;  // bytes of the private ones that another process has too: nobody wrote to them since a fork
  uint64_t swapped;  // bytes
  uintptr_t next;    // read up to here; the range's end: all of it
};

// Reads a range, page by page, until `deadline_ns` (CLOCK_MONOTONIC) has passed, and adds to what `residency` says
// already; start again at its `next`. A page of a hundred thousand takes some 10 ns, whether it is there or not. Not thread-safe;
// each reader needs its own, with a buffer that the caller provides. Holds the descriptor until destroyed. Signal-safe,
// allocates nothing, leaves errno alone.
class PagemapReader {
 public:
  static constexpr size_t kBufferSize = 16384;  // 8 MiB of the range at a time

  // `buffer`: kBufferSize bytes, aligned to 8. Only with `tells_inherited` is present_inherited set: each page is then asked
  // for by itself.
  explicit PagemapReader(char* buffer, bool tells_inherited = false);
  ~PagemapReader();
  PagemapReader(const PagemapReader&) = delete;
  PagemapReader& operator=(const PagemapReader&) = delete;

  // At least one buffer is read, whatever the deadline. False when it cannot be read (no /proc, a filter).
  bool Read(uintptr_t start, uintptr_t end, uint64_t deadline_ns, Residency* residency);

 private:
  // A part of a large range at once; false where the kernel is too old for it.
  bool Scan(uintptr_t end, Residency* residency);

  char* const buffer_;
  const bool tells_inherited_;
  int fd_;
};

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/residency.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;

// Of an entry.
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kSwapped = uint64_t{1} << 62;
constexpr uint64_t kFileOrShared = uint64_t{1} << 61;

}  // namespace

PagemapReader::PagemapReader(char* buffer)
    : buffer_(buffer),
      fd_(static_cast<int>(Syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0))) {}

PagemapReader::~PagemapReader() {
  if (fd_ >= 0) Syscall(SYS_close, fd_);
}

bool PagemapReader::Read(uintptr_t start, uintptr_t end, uint64_t deadline_ns, Residency* residency) {
  residency->next = start;
  if (fd_ < 0) return false;
  while (residency->next < end) {
    const uint64_t page = residency->next / base::kPageSize;
    const uint64_t pages = (end - residency->next + base::kPageSize - 1) / base::kPageSize;
    const size_t bytes = pages * 8 < kBufferSize ? pages * 8 : kBufferSize;
    const long got = Syscall(SYS_pread64, fd_, buffer_, bytes, page * 8);
    if (Failed(got) || got < 8) return false;
    const size_t entries = static_cast<size_t>(got) / 8;
    for (size_t i = 0; i < entries; ++i) {
      uint64_t entry;
      memcpy(&entry, buffer_ + i * 8, 8);
      if ((entry & kPresent) != 0) residency->present += base::kPageSize;
      if ((entry & (kPresent | kFileOrShared)) == kPresent) residency->present_private += base::kPageSize;
      if ((entry & (kPresent | kSwapped)) == kSwapped) residency->swapped += base::kPageSize;
    }
    residency->next += entries * base::kPageSize;
    if (residency->next < end && ClockNs(CLOCK_MONOTONIC) >= deadline_ns) break;
  }
  if (residency->next > end) residency->next = end;
  return true;
}

}  // namespace heapecho::recording

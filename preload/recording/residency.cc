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
constexpr uint64_t kExclusive = uint64_t{1} << 56;  // Linux 4.2

// PAGEMAP_SCAN (Linux 6.7): tells runs of pages that are there, and steps over what never had any. struct pm_scan_arg
// and struct page_region of its header, which is younger than those that this is built with.
struct ScanArguments {
  uint64_t size, flags, start, end, walk_end, runs, run_count, most_pages;
  uint64_t inverted, all_of, any_of, returned;
};
static_assert(sizeof(ScanArguments) == 96);
struct Run {
  uint64_t start, end, categories;
};
constexpr unsigned long kPagemapScan = 0xc0606610;  // _IOWR('f', 16, struct pm_scan_arg)
enum Category : uint64_t { kIsFile = 1 << 2, kIsPresent = 1 << 3, kIsSwapped = 1 << 4 };

// From so many bytes on a scan is worth it; so many at a time, which take a millisecond where every page is there.
constexpr uintptr_t kLeastScan = 64 << 20;
constexpr uintptr_t kMostScan = 256 << 20;

}  // namespace

PagemapReader::PagemapReader(char* buffer, bool tells_inherited)
    : buffer_(buffer),
      tells_inherited_(tells_inherited),
      fd_(static_cast<int>(Syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0))) {}

PagemapReader::~PagemapReader() {
  if (fd_ >= 0) Syscall(SYS_close, fd_);
}

bool PagemapReader::Scan(uintptr_t end, Residency* residency) {
  const uintptr_t start = residency->next;
  ScanArguments arguments = {};
  arguments.size = sizeof arguments;
  arguments.start = start;
  arguments.end = end - start < kMostScan ? end : start + kMostScan;
  arguments.runs = reinterpret_cast<uintptr_t>(buffer_);
  arguments.run_count = kBufferSize / sizeof(Run);
  arguments.any_of = kIsPresent | kIsSwapped;
  arguments.returned = kIsPresent | kIsSwapped | kIsFile;
  const long count = Syscall(SYS_ioctl, fd_, kPagemapScan, &arguments);
  if (Failed(count) || arguments.walk_end <= start) return false;
  for (long i = 0; i < count; ++i) {
    Run run;
    memcpy(&run, buffer_ + static_cast<size_t>(i) * sizeof run, sizeof run);
    const uint64_t bytes = run.end - run.start;
    if ((run.categories & kIsPresent) == 0) {
      residency->swapped += bytes;
      continue;
    }
    residency->present += bytes;
    if ((run.categories & kIsFile) == 0) residency->present_private += bytes;
  }
  residency->next = arguments.walk_end;
  return true;
}

bool PagemapReader::Read(uintptr_t start, uintptr_t end, uint64_t deadline_ns, Residency* residency) {
  residency->next = start;
  if (fd_ < 0) return false;
  while (residency->next < end) {
    if (!tells_inherited_ && end - residency->next >= kLeastScan && Scan(end, residency)) {
      if (residency->next < end && ClockNs(CLOCK_MONOTONIC) >= deadline_ns) break;
      continue;
    }
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
      if ((entry & (kPresent | kFileOrShared | kExclusive)) == kPresent) {
        residency->present_inherited += base::kPageSize;
      }
      if ((entry & (kPresent | kSwapped)) == kSwapped) residency->swapped += base::kPageSize;
    }
    residency->next += entries * base::kPageSize;
    if (residency->next < end && ClockNs(CLOCK_MONOTONIC) >= deadline_ns) break;
  }
  if (residency->next > end) residency->next = end;
  return true;
}

}  // namespace heapecho::recording

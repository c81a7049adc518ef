// SPDX-License-Identifier: Apache-2.0
#include "preload/base/memory.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#include <atomic>

#include "preload/base/syscalls.h"

namespace heapecho::base {
namespace {

// Start and end of what MapPrivate gave; a start of zero: free.
struct OwnMapping {
  std::atomic<uintptr_t> start, end;
};
constinit OwnMapping g_own[64] = {};

void Remember(uintptr_t start, uintptr_t end) {
  for (OwnMapping& own : g_own) {
    uintptr_t nobody = 0;
    // The end is stored later: until then it is none, as before.
    if (own.start.load(std::memory_order_relaxed) != 0 || !own.start.compare_exchange_strong(nobody, start)) continue;
    own.end.store(end);
    return;
  }
}

void Forget(uintptr_t start) {
  for (OwnMapping& own : g_own) {
    if (own.start.load(std::memory_order_relaxed) != start) continue;
    own.end.store(0);
    own.start.store(0);
    return;
  }
}

}  // namespace

bool IsOwnMemory(uintptr_t address) {
  for (const OwnMapping& own : g_own) {
    if (own.start.load() <= address && address < own.end.load()) return true;
  }
  return false;
}

void* MapPrivate(size_t bytes, const char* name) {
  bytes = RoundUp(bytes, kPageSize);
  const long result = Syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (Failed(result)) return nullptr;
  void* address = reinterpret_cast<void*>(result);
  constexpr int kSetVma = 0x53564d41;  // PR_SET_VMA; Linux 5.17, an error before
  Syscall(SYS_prctl, kSetVma, 0, address, bytes, name);
  Syscall(SYS_madvise, address, bytes, MADV_DONTDUMP);  // a core dump is the application's
  // With transparent huge pages for all, as Debian has them, tables that are filled here and there took 11 MiB, not 6.5.
  Syscall(SYS_madvise, address, bytes, MADV_NOHUGEPAGE);
  Remember(static_cast<uintptr_t>(result), static_cast<uintptr_t>(result) + bytes);
  return address;
}

void Unmap(void* address, size_t bytes) {
  if (address == nullptr) return;
  Forget(reinterpret_cast<uintptr_t>(address));
  Syscall(SYS_munmap, address, RoundUp(bytes, kPageSize));
}

void Forget(void* address, size_t bytes) {
  Syscall(SYS_madvise, address, bytes, MADV_DONTNEED);
}

void* MapWipedInChild(size_t bytes, size_t wiped, const char* name) {
  char* const address = static_cast<char*>(MapPrivate(bytes, name));
  if (address == nullptr) return nullptr;
  constexpr int kWipeOnFork = 18;  // MADV_WIPEONFORK
  Syscall(SYS_madvise, address + bytes - wiped, wiped, kWipeOnFork);
  return address;
}

void* MapSharedMemory(size_t bytes) {
  const long result = Syscall(SYS_mmap, nullptr, RoundUp(bytes, kPageSize), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (Failed(result)) return nullptr;
  Syscall(SYS_madvise, result, RoundUp(bytes, kPageSize), MADV_DONTDUMP);
  return reinterpret_cast<void*>(result);
}

void* MapShared(int fd, size_t bytes) {
  const long result =
      Syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (Failed(result)) return nullptr;
  // Without, a kernel that keeps files in large folios reads and zeroes up to 2 MiB around a page that is asked for: on
  // Linux 6.18's ext4 the whole file of 64 MiB stood in the page cache of the program's control group where 3 MiB were
  // written, and 64 KiB took 351 us instead of 37, at most 2 ms instead of 0.1.
  Syscall(SYS_madvise, result, bytes, MADV_RANDOM);
  return reinterpret_cast<void*>(result);
}

int PopulateShared(void* address, size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14
  for (;;) {
    const long result = Syscall(SYS_madvise, address, RoundUp(bytes, kPageSize), kPopulateWrite);
    if (!Failed(result)) return 0;
    if (result != -4 && result != -11) return static_cast<int>(-result);  // not EINTR, EAGAIN
  }
}

bool PopulateForReading(const void* address, size_t bytes) {
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, Linux 5.14
  for (;;) {
    const long result = Syscall(SYS_madvise, address, RoundUp(bytes, kPageSize), kPopulateRead);
    if (!Failed(result) || result == -22) return true;
    if (result != -4 && result != -11) return false;  // not EINTR, EAGAIN
  }
}

}  // namespace heapecho::base

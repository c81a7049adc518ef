// SPDX-License-Identifier: Apache-2.0
// mmap, mmap64, munmap, mremap, madvise, brk and sbrk, exported: each forwards, and tells ranges.h
// what came of it.
//
// An allocator may call these with its locks held: nothing of an allocator is called, no lock is
// waited for. What libc maps for itself (malloc's heaps, threads' stacks, libraries) does not come
// here: /proc/self/maps tells of it.
#include "preload/hook/mapping_hooks.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "preload/base/memory.h"
#include "preload/hook/export.h"
#include "preload/hook/next_function.h"
#include "preload/hook/ranges.h"

namespace heapecho::hook {
namespace {

using MmapFunction = void* (*)(void*, size_t, int, int, int, off_t);

constinit NextFunction<MmapFunction> g_mmap("mmap");
constinit NextFunction<MmapFunction> g_mmap64("mmap64");
constinit NextFunction<int (*)(void*, size_t)> g_munmap("munmap");
constinit NextFunction<void* (*)(void*, size_t, size_t, int, void*)> g_mremap("mremap");
constinit NextFunction<int (*)(void*, size_t, int)> g_madvise("madvise");
constinit NextFunction<int (*)(void*)> g_brk("brk");
constinit NextFunction<void* (*)(intptr_t)> g_sbrk("sbrk");

uintptr_t AddressOf(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

inline __attribute__((always_inline)) uintptr_t Caller() {
  return AddressOf(__builtin_return_address(0));
}

// mmap, mremap and sbrk say it alike.
bool Failed(const void* result) { return result == MAP_FAILED; }

void* Map(MmapFunction next, void* address, size_t length, int protection, int flags,
          int descriptor, off_t offset, uintptr_t caller) {
  void* const mapped = next(address, length, protection, flags, descriptor, offset);
  if (Failed(mapped) || !RangesAreFollowed()) return mapped;
  RangeMapped({.start = AddressOf(mapped),
               .length = length,
               .caller = caller,
               .protection = protection,
               .flags = flags,
               .descriptor = descriptor,
               .heap = false});
  return mapped;
}

void* Remap(void* old, size_t old_length, size_t length, int flags, void* target,
            uintptr_t caller) {
  const auto next = g_mremap.get();
  if (!RangesAreFollowed()) return next(old, old_length, length, flags, target);
  constexpr int kDontUnmap = 4;  // MREMAP_DONTUNMAP, Linux 5.7: the pages move, the old range stays
  const uintptr_t start = AddressOf(old);
  const bool stays = old_length == 0 || (flags & kDontUnmap) != 0;
  const bool shrinks = !stays && (flags & MREMAP_FIXED) == 0 && length <= old_length;
  const uint64_t place =
      RangeWillChange(shrinks ? start + length : start, stays ? start : start + old_length);
  void* const moved = next(old, old_length, length, flags, target);
  if (Failed(moved)) {
    RangeDidNotChange(place);
    return moved;
  }
  if (shrinks) {
    RangeUnmapped(place);
    return moved;
  }
  RangeMoved(place, {.start = AddressOf(moved),
                     .length = length,
                     .caller = caller,
                     .protection = PROT_READ | PROT_WRITE,
                     .flags = MAP_PRIVATE | MAP_ANONYMOUS,
                     .descriptor = -1,
                     .heap = false});
  if (stays && old_length != 0) RangeGivenBack(start, old_length);
  return moved;
}

// The program break was at `before` and is at `after`, which is higher.
void Raised(uintptr_t before, uintptr_t after, uintptr_t caller) {
  before = base::RoundUp(before, base::kPageSize);
  after = base::RoundUp(after, base::kPageSize);
  if (after == before) return;
  RangeMapped({.start = before,
               .length = after - before,
               .caller = caller,
               .protection = PROT_READ | PROT_WRITE,
               .flags = MAP_PRIVATE | MAP_ANONYMOUS,
               .descriptor = -1,
               .heap = true});
}

}  // namespace

void ResolveMappingFunctions() {
  g_mmap.get();
  g_mmap64.get();
  g_munmap.get();
  g_mremap.get();
  g_madvise.get();
  g_brk.get();
  g_sbrk.get();
}

}  // namespace heapecho::hook

using namespace heapecho::hook;

HEAPECHO_EXPORT void* mmap(void* address, size_t length, int protection, int flags, int descriptor,
                           off_t offset) {
  return Map(g_mmap.get(), address, length, protection, flags, descriptor, offset, Caller());
}

HEAPECHO_EXPORT void* mmap64(void* address, size_t length, int protection, int flags,
                             int descriptor, off64_t offset) {
  return Map(g_mmap64.get(), address, length, protection, flags, descriptor, offset, Caller());
}

HEAPECHO_EXPORT int munmap(void* address, size_t length) {
  const auto next = g_munmap.get();
  if (!RangesAreFollowed()) return next(address, length);
  const uint64_t place = RangeWillChange(AddressOf(address), AddressOf(address) + length);
  const int result = next(address, length);
  if (result == 0) {
    RangeUnmapped(place);
  } else {
    RangeDidNotChange(place);
  }
  return result;
}

HEAPECHO_EXPORT void* mremap(void* old, size_t old_length, size_t length, int flags, ...) {
  void* target = nullptr;
  if ((flags & ~MREMAP_MAYMOVE) != 0) {
    va_list list;
    va_start(list, flags);
    target = va_arg(list, void*);
    va_end(list);
  }
  return Remap(old, old_length, length, flags, target, Caller());
}

HEAPECHO_EXPORT int madvise(void* address, size_t length, int advice) {
  const int result = g_madvise.get()(address, length, advice);
  const bool gives_back = advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE;
  if (result == 0 && gives_back && !MapsRawMaterial(Caller()) && RangesAreFollowed()) {
    RangeGivenBack(AddressOf(address), length);
  }
  return result;
}

HEAPECHO_EXPORT int brk(void* end) {
  const auto next = g_brk.get();
  if (!RangesAreFollowed()) return next(end);
  const uintptr_t before = AddressOf(g_sbrk.get()(0)), after = AddressOf(end);
  if (after >= before) {
    const int result = next(end);
    if (result == 0) Raised(before, after, Caller());
    return result;
  }
  const uint64_t place = RangeWillChange(after, before);
  const int result = next(end);
  if (result == 0) {
    RangeUnmapped(place);
  } else {
    RangeDidNotChange(place);
  }
  return result;
}

HEAPECHO_EXPORT void* sbrk(intptr_t increment) {
  const auto next = g_sbrk.get();
  if (increment == 0 || !RangesAreFollowed()) return next(increment);
  const auto change = static_cast<uintptr_t>(increment);
  if (increment > 0) {
    void* const before = next(increment);
    if (!Failed(before)) Raised(AddressOf(before), AddressOf(before) + change, Caller());
    return before;
  }
  const uintptr_t end = AddressOf(next(0));
  const uint64_t place = RangeWillChange(end + change, end);
  void* const before = next(increment);
  if (!Failed(before)) {
    RangeUnmapped(place);
  } else {
    RangeDidNotChange(place);
  }
  return before;
}

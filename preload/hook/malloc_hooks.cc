// SPDX-License-Identifier: Apache-2.0
// The C allocation functions, exported: each forwards to the next one and tells observe.h.
//
// An allocation is told after the real call, a free before it, so that an address is never in the live set
// while the allocator may hand it to another thread.
#include <errno.h>
#include <stdlib.h>

#include "preload/hook/export.h"
#include "preload/hook/next.h"
#include "preload/hook/observe.h"

namespace heapecho::hook {
namespace {

__attribute__((noinline)) void* ReallocateSampled(void* block, size_t size) {
  const Reallocation taken = BeginReallocation(block);
  void* moved = g_next.realloc(block, size);
  if (taken.slot != live::kNoSlot) {
    // A null for size zero is a free where the allocator frees; where it does not, it says so in errno.
    const bool freed = moved != nullptr || (size == 0 && errno != ENOMEM);
    EndReallocation(taken, freed);
  }
  return Allocated(moved, size);
}

__attribute__((noinline)) void FreeSampled(void* block) {
  FreeingSlow(block);
  g_next.free(block);
}

}  // namespace
}  // namespace heapecho::hook

using namespace heapecho::hook;

HEAPECHO_EXPORT void* malloc(size_t size) { return Allocated(g_next.malloc(size), size); }

HEAPECHO_EXPORT void free(void* block) {
  if (MayBeSampled(block)) return FreeSampled(block);
  g_next.free(block);
}

HEAPECHO_EXPORT void* calloc(size_t count, size_t size) {
  // A product that overflows makes the call fail, and a failed call is no event.
  return Allocated(g_next.calloc(count, size), count * size);
}

HEAPECHO_EXPORT void* realloc(void* block, size_t size) {
  if (MayBeSampled(block)) return ReallocateSampled(block, size);
  return Allocated(g_next.realloc(block, size), size);
}

// Not forwarded: glibc's own would call realloc by its public name, which is ours, and be counted twice.
HEAPECHO_EXPORT void* reallocarray(void* block, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  if (MayBeSampled(block)) return ReallocateSampled(block, bytes);
  return Allocated(g_next.realloc(block, bytes), bytes);
}

HEAPECHO_EXPORT int posix_memalign(void** out, size_t alignment, size_t size) {
  const int error = g_next.posix_memalign(out, alignment, size);
  if (error == 0) Allocated(*out, size);
  return error;
}

HEAPECHO_EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  return Allocated(g_next.aligned_alloc(alignment, size), size);
}

HEAPECHO_EXPORT void* memalign(size_t alignment, size_t size) {
  return Allocated(g_next.memalign(alignment, size), size);
}

HEAPECHO_EXPORT void* valloc(size_t size) { return Allocated(g_next.valloc(size), size); }

HEAPECHO_EXPORT void* pvalloc(size_t size) { return Allocated(g_next.pvalloc(size), size); }

HEAPECHO_EXPORT void free_sized(void* block, size_t size) {
  if (MayBeSampled(block)) {
      FreeingSlow(block);
  }
  g_next.free_sized(block, size);
}

HEAPECHO_EXPORT void free_aligned_sized(void* block, size_t alignment, size_t size) {
  if (MayBeSampled(block)) {
      FreeingSlow(block);
  }
  g_next.free_aligned_sized(block, alignment, size);
}

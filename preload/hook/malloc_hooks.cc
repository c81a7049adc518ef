// SPDX-License-Identifier: Apache-2.0
// The C allocation functions, exported: each counts, and jumps on to the next one.
//
// What is not sampled costs a subtraction and a branch, and the allocator sees the program's own call. A
// sampled allocation is told after the real call, a free of a sampled block before it, so that an address is
// never in the live set while the allocator may hand it to another thread.
#include <errno.h>
#include <stddef.h>

#include "preload/hook/export.h"
#include "preload/hook/next.h"
#include "preload/hook/observe.h"

namespace heapecho::hook {
namespace {

// The next function's call, told.
template <auto kNext, typename... Args>
__attribute__((noinline)) void* CallAndTell(size_t size, Args... args) {
  return AllocatedSlow((g_next.*kNext)(args...), size);
}

__attribute__((noinline)) int PosixMemalignAndTell(void** out, size_t alignment, size_t size) {
  const int error = g_next.posix_memalign(out, alignment, size);
  AllocatedSlow(error == 0 ? *out : nullptr, size);
  return error;
}

template <auto kNext>
__attribute__((noinline)) void* ReallocateSampled(void* block, size_t size) {
  const Reallocation taken = BeginReallocation(block);
  void* moved = (g_next.*kNext)(block, size);
  // A null for size zero is a free where the allocator frees; one that could not serve it says so in errno.
  if (taken.slot != live::kNoSlot) {
    EndReallocation(taken, moved != nullptr || (size == 0 && errno != ENOMEM));
  }
  return Due(size) ? AllocatedSlow(moved, size) : moved;
}

template <auto kNext>
inline __attribute__((always_inline)) void* Reallocate(void* block, size_t size) {
  if (MayBeSampled(block)) return ReallocateSampled<kNext>(block, size);
  if (Due(size)) return CallAndTell<kNext>(size, block, size);
  return (g_next.*kNext)(block, size);
}

}  // namespace
}  // namespace heapecho::hook

using namespace heapecho::hook;

HEAPECHO_EXPORT void* malloc(size_t size) {
  if (Due(size)) return CallAndTell<&NextFunctions::malloc>(size, size);
  return g_next.malloc(size);
}

HEAPECHO_EXPORT void free(void* block) {
  if (MayBeSampled(block)) FreeingSlow(block);
  g_next.free(block);
}

HEAPECHO_EXPORT void* calloc(size_t count, size_t size) {
  const size_t bytes = count * size;  // wrong where it overflows: then the call fails and is no event
  if (Due(bytes)) return CallAndTell<&NextFunctions::calloc>(bytes, count, size);
  return g_next.calloc(count, size);
}

HEAPECHO_EXPORT void* realloc(void* block, size_t size) {
  return Reallocate<&NextFunctions::realloc>(block, size);
}

// Not forwarded: glibc's own would call realloc by its public name, which is ours, and be counted twice. Where
// realloc is another's, nothing is sampled and this only forwards.
HEAPECHO_EXPORT void* reallocarray(void* block, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  return Reallocate<&NextFunctions::realloc_for_array>(block, bytes);
}

HEAPECHO_EXPORT int posix_memalign(void** out, size_t alignment, size_t size) {
  if (Due(size)) return PosixMemalignAndTell(out, alignment, size);
  return g_next.posix_memalign(out, alignment, size);
}

HEAPECHO_EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  if (Due(size)) return CallAndTell<&NextFunctions::aligned_alloc>(size, alignment, size);
  return g_next.aligned_alloc(alignment, size);
}

HEAPECHO_EXPORT void* memalign(size_t alignment, size_t size) {
  if (Due(size)) return CallAndTell<&NextFunctions::memalign>(size, alignment, size);
  return g_next.memalign(alignment, size);
}

HEAPECHO_EXPORT void* valloc(size_t size) {
  if (Due(size)) return CallAndTell<&NextFunctions::valloc>(size, size);
  return g_next.valloc(size);
}

HEAPECHO_EXPORT void* pvalloc(size_t size) {
  if (Due(size)) return CallAndTell<&NextFunctions::pvalloc>(size, size);
  return g_next.pvalloc(size);
}

HEAPECHO_EXPORT void free_sized(void* block, size_t size) {
  if (MayBeSampled(block)) FreeingSlow(block);
  g_next.free_sized(block, size);
}

HEAPECHO_EXPORT void free_aligned_sized(void* block, size_t alignment, size_t size) {
  if (MayBeSampled(block)) FreeingSlow(block);
  g_next.free_aligned_sized(block, alignment, size);
}

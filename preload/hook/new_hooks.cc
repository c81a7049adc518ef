// SPDX-License-Identifier: Apache-2.0
// operator new and delete, exported under their mangled names (the library itself is no C++ run time).
//
// Where the allocator's library has operators of its own, new forwards there; where it has none, new is malloc,
// counted once, and when malloc refuses, the call is handed over to libstdc++'s operator, which tries again,
// calls the new handler and throws what the program expects. What that one gets in the end it gets from our
// malloc and is counted there.
#include <stddef.h>

#include "preload/hook/export.h"
#include "preload/hook/next.h"
#include "preload/hook/observe.h"

namespace heapecho::hook {
namespace {

// A sampled one. Where new is malloc, a refusal must not be handed over before it is told: libstdc++'s
// operator may get the block after all, from our malloc, and it would be told twice.
template <auto kNext, typename... Args>
__attribute__((noinline)) void* NewAndTell(size_t size, Args... args) {
  if (AllocatorHasOperators()) return AllocatedSlow((g_next.*kNext)(size, args...), size);
  void* block = MallocForNew(size, args...);
  AllocatedSlow(block, size);
  return block != nullptr ? block : (g_next.*kNext)(size, args...);
}

template <auto kNext, typename... Args>
inline __attribute__((always_inline)) void* New(size_t size, Args... args) {
  if (Due(size)) return NewAndTell<kNext>(size, args...);
  return (g_next.*kNext)(size, args...);
}

template <auto kNext, typename... Args>
inline __attribute__((always_inline)) void Delete(void* block, Args... args) {
  if (MayBeSampled(block)) FreeingSlow(block);
  (g_next.*kNext)(block, args...);
}

}  // namespace
}  // namespace heapecho::hook

using namespace heapecho::hook;

// `nothrow` is a reference to std::nothrow, which says nothing but its type.
HEAPECHO_EXPORT void* _Znwm(size_t size) { return New<&NextFunctions::new_object>(size); }
HEAPECHO_EXPORT void* _Znam(size_t size) { return New<&NextFunctions::new_array>(size); }
HEAPECHO_EXPORT void* _ZnwmRKSt9nothrow_t(size_t size, const void* nothrow) {
  return New<&NextFunctions::new_object_nothrow>(size, nothrow);
}
HEAPECHO_EXPORT void* _ZnamRKSt9nothrow_t(size_t size, const void* nothrow) {
  return New<&NextFunctions::new_array_nothrow>(size, nothrow);
}
HEAPECHO_EXPORT void* _ZnwmSt11align_val_t(size_t size, size_t alignment) {
  return New<&NextFunctions::new_object_aligned>(size, alignment);
}
HEAPECHO_EXPORT void* _ZnamSt11align_val_t(size_t size, size_t alignment) {
  return New<&NextFunctions::new_array_aligned>(size, alignment);
}
HEAPECHO_EXPORT void* _ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void* nothrow) {
  return New<&NextFunctions::new_object_aligned_nothrow>(size, alignment, nothrow);
}
HEAPECHO_EXPORT void* _ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void* nothrow) {
  return New<&NextFunctions::new_array_aligned_nothrow>(size, alignment, nothrow);
}

HEAPECHO_EXPORT void _ZdlPv(void* block) { Delete<&NextFunctions::delete_object>(block); }
HEAPECHO_EXPORT void _ZdaPv(void* block) { Delete<&NextFunctions::delete_object>(block); }
HEAPECHO_EXPORT void _ZdlPvRKSt9nothrow_t(void* block, const void*) { Delete<&NextFunctions::delete_object>(block); }
HEAPECHO_EXPORT void _ZdaPvRKSt9nothrow_t(void* block, const void*) { Delete<&NextFunctions::delete_object>(block); }
HEAPECHO_EXPORT void _ZdlPvm(void* block, size_t size) { Delete<&NextFunctions::delete_object_sized>(block, size); }
HEAPECHO_EXPORT void _ZdaPvm(void* block, size_t size) { Delete<&NextFunctions::delete_array_sized>(block, size); }
HEAPECHO_EXPORT void _ZdlPvSt11align_val_t(void* block, size_t) {
  Delete<&NextFunctions::delete_object_aligned>(block);
}
HEAPECHO_EXPORT void _ZdaPvSt11align_val_t(void* block, size_t) {
  Delete<&NextFunctions::delete_object_aligned>(block);
}
HEAPECHO_EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void* block, size_t, const void*) {
  Delete<&NextFunctions::delete_object_aligned>(block);
}
HEAPECHO_EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void* block, size_t, const void*) {
  Delete<&NextFunctions::delete_object_aligned>(block);
}
HEAPECHO_EXPORT void _ZdlPvmSt11align_val_t(void* block, size_t size, size_t alignment) {
  Delete<&NextFunctions::delete_object_sized_aligned>(block, size, alignment);
}
HEAPECHO_EXPORT void _ZdaPvmSt11align_val_t(void* block, size_t size, size_t alignment) {
  Delete<&NextFunctions::delete_array_sized_aligned>(block, size, alignment);
}

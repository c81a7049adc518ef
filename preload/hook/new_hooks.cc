// SPDX-License-Identifier: Apache-2.0
// operator new and delete, exported under their mangled names (the library itself is no C++ run time).
//
// Where the allocator's library has operators of its own, these forward there. Where it has none, they are
// malloc and free, counted once; and when malloc refuses, the call is handed over to libstdc++'s operator,
// which tries again, calls the new handler and throws what the program expects. What that one gets in the end
// it got from our malloc, so it is counted there.
#include <stddef.h>

#include "preload/hook/export.h"
#include "preload/hook/next.h"
#include "preload/hook/observe.h"
#include "preload/hook/symbols.h"

namespace heapecho::hook {
namespace {

// Without a libstdc++ there is nobody who could catch: null is all that is left.
template <typename... Args>
__attribute__((noinline)) void* HandOver(const char* mangled, Args... args) {
  // Wherever it is: for extension modules of a Python it was loaded by dlopen(RTLD_LOCAL).
  auto* theirs = reinterpret_cast<void* (*)(Args...)>(FindIn("libstdc++.so", mangled).address);
  return theirs != nullptr ? theirs(args...) : nullptr;
}

template <typename Next, typename... Args>
inline __attribute__((always_inline)) void* New(Next next, const char* mangled, size_t size, Args... args) {
  void* block = next(size, args...);
  if (__builtin_expect(block == nullptr, 0)) return HandOver(mangled, size, args...);
  return Allocated(block, size);
}

template <typename Next, typename... Args>
inline __attribute__((always_inline)) void Delete(Next next, void* block, Args... args) {
  if (MayBeSampled(block)) FreeingSlow(block);
  next(block, args...);
}

}  // namespace
}  // namespace heapecho::hook

using namespace heapecho::hook;

// `nothrow` is a reference to std::nothrow, which says nothing but its type.
HEAPECHO_EXPORT void* _Znwm(size_t size) { return New(g_next.new_object, "_Znwm", size); }
HEAPECHO_EXPORT void* _Znam(size_t size) { return New(g_next.new_array, "_Znam", size); }
HEAPECHO_EXPORT void* _ZnwmRKSt9nothrow_t(size_t size, const void* nothrow) {
  return New(g_next.new_object_nothrow, "_ZnwmRKSt9nothrow_t", size, nothrow);
}
HEAPECHO_EXPORT void* _ZnamRKSt9nothrow_t(size_t size, const void* nothrow) {
  return New(g_next.new_array_nothrow, "_ZnamRKSt9nothrow_t", size, nothrow);
}
HEAPECHO_EXPORT void* _ZnwmSt11align_val_t(size_t size, size_t alignment) {
  return New(g_next.new_object_aligned, "_ZnwmSt11align_val_t", size, alignment);
}
HEAPECHO_EXPORT void* _ZnamSt11align_val_t(size_t size, size_t alignment) {
  return New(g_next.new_array_aligned, "_ZnamSt11align_val_t", size, alignment);
}
HEAPECHO_EXPORT void* _ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void* nothrow) {
  return New(g_next.new_object_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t", size, alignment, nothrow);
}
HEAPECHO_EXPORT void* _ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void* nothrow) {
  return New(g_next.new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t", size, alignment, nothrow);
}

HEAPECHO_EXPORT void _ZdlPv(void* block) { Delete(g_next.delete_object, block); }
HEAPECHO_EXPORT void _ZdaPv(void* block) { Delete(g_next.delete_array, block); }
HEAPECHO_EXPORT void _ZdlPvRKSt9nothrow_t(void* block, const void*) { Delete(g_next.delete_object, block); }
HEAPECHO_EXPORT void _ZdaPvRKSt9nothrow_t(void* block, const void*) { Delete(g_next.delete_array, block); }
HEAPECHO_EXPORT void _ZdlPvm(void* block, size_t size) { Delete(g_next.delete_object_sized, block, size); }
HEAPECHO_EXPORT void _ZdaPvm(void* block, size_t size) { Delete(g_next.delete_array_sized, block, size); }
HEAPECHO_EXPORT void _ZdlPvSt11align_val_t(void* block, size_t alignment) {
  Delete(g_next.delete_object_aligned, block, alignment);
}
HEAPECHO_EXPORT void _ZdaPvSt11align_val_t(void* block, size_t alignment) {
  Delete(g_next.delete_array_aligned, block, alignment);
}
HEAPECHO_EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void* block, size_t alignment, const void*) {
  Delete(g_next.delete_object_aligned, block, alignment);
}
HEAPECHO_EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void* block, size_t alignment, const void*) {
  Delete(g_next.delete_array_aligned, block, alignment);
}
HEAPECHO_EXPORT void _ZdlPvmSt11align_val_t(void* block, size_t size, size_t alignment) {
  Delete(g_next.delete_object_sized_aligned, block, size, alignment);
}
HEAPECHO_EXPORT void _ZdaPvmSt11align_val_t(void* block, size_t size, size_t alignment) {
  Delete(g_next.delete_array_sized_aligned, block, size, alignment);
}

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/next.h"

#include <errno.h>

#include "preload/base/symbols.h"

namespace heapecho::hook {
namespace {

constinit const link_map* g_allocator = nullptr;
constinit bool g_has_operators = false;

// What stands in where the allocator's library has no operators, or sized frees, of its own.

// Found when it is needed, wherever it is: for extension modules of a Python the loader keeps it local. Without
// a libstdc++ there is nobody who could catch: null is all that is left.
template <typename... Args>
__attribute__((noinline)) void* HandOver(const char* mangled, Args... args) {
  auto* theirs = reinterpret_cast<void* (*)(Args...)>(base::FindIn("libstdc++.so", mangled).address);
  return theirs != nullptr ? theirs(args...) : nullptr;
}

#define NEW_OF_MALLOC(function, mangled, parameters, ...)          \
  void* function parameters {                                      \
    void* block = MallocForNew(__VA_ARGS__);                       \
    return block != nullptr ? block : HandOver(mangled, __VA_ARGS__); \
  }
NEW_OF_MALLOC(NewObject, "_Znwm", (size_t size), size)
NEW_OF_MALLOC(NewArray, "_Znam", (size_t size), size)
NEW_OF_MALLOC(NewObjectNothrow, "_ZnwmRKSt9nothrow_t", (size_t size, const void* nothrow), size, nothrow)
NEW_OF_MALLOC(NewArrayNothrow, "_ZnamRKSt9nothrow_t", (size_t size, const void* nothrow), size, nothrow)
NEW_OF_MALLOC(NewObjectAligned, "_ZnwmSt11align_val_t", (size_t size, size_t alignment), size, alignment)
NEW_OF_MALLOC(NewArrayAligned, "_ZnamSt11align_val_t", (size_t size, size_t alignment), size, alignment)
NEW_OF_MALLOC(NewObjectAlignedNothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t",
              (size_t size, size_t alignment, const void* nothrow), size, alignment, nothrow)
NEW_OF_MALLOC(NewArrayAlignedNothrow, "_ZnamSt11align_val_tRKSt9nothrow_t",
              (size_t size, size_t alignment, const void* nothrow), size, alignment, nothrow)
#undef NEW_OF_MALLOC

void DeleteOfFree(void* block) { g_next.free(block); }
void DeleteOfFreeSized(void* block, size_t) { g_next.free(block); }
void DeleteOfFreeSizedAligned(void* block, size_t, size_t) { g_next.free(block); }

// A bootstrap function for each that every libc has: finds them all, then forwards. Two threads that meet here
// find the same.
template <auto kMember>
struct Boot;
template <typename Result, typename... Args, Result (*NextFunctions::*kMember)(Args...)>
struct Boot<kMember> {
  static Result Call(Args... args) {
    ResolveNext();
    return (g_next.*kMember)(args...);
  }
};
#define BOOT(name) .name = Boot<&NextFunctions::name>::Call

}  // namespace

constinit NextFunctions g_next = {
    BOOT(malloc),
    BOOT(free),
    BOOT(calloc),
    BOOT(realloc),
    BOOT(posix_memalign),
    BOOT(aligned_alloc),
    BOOT(memalign),
    BOOT(valloc),
    BOOT(pvalloc),
    BOOT(malloc_for_new),
    BOOT(posix_memalign_for_new),
    BOOT(realloc_for_array),
    .free_sized = DeleteOfFreeSized,
    .free_aligned_sized = DeleteOfFreeSizedAligned,
    .new_object = NewObject,
    .new_array = NewArray,
    .new_object_nothrow = NewObjectNothrow,
    .new_array_nothrow = NewArrayNothrow,
    .new_object_aligned = NewObjectAligned,
    .new_array_aligned = NewArrayAligned,
    .new_object_aligned_nothrow = NewObjectAlignedNothrow,
    .new_array_aligned_nothrow = NewArrayAlignedNothrow,
    .delete_object = DeleteOfFree,
    .delete_object_sized = DeleteOfFreeSized,
    .delete_array_sized = DeleteOfFreeSized,
    .delete_object_aligned = DeleteOfFree,
    .delete_object_sized_aligned = DeleteOfFreeSizedAligned,
    .delete_array_sized_aligned = DeleteOfFreeSizedAligned,
    .mallocx = nullptr,
    .rallocx = nullptr,
    .xallocx = nullptr,
    .dallocx = nullptr,
    .sdallocx = nullptr,
};
#undef BOOT

namespace {

template <typename Function>
void Set(Function& slot, void* address) {
  if (address != nullptr) __atomic_store_n(&slot, reinterpret_cast<Function>(address), __ATOMIC_RELEASE);
}

}  // namespace

// A block goes back to the family it came from.
void* FindInAllocator(const char* name) {
  const base::Symbol symbol = base::FindNext(name);
  return symbol.owner == g_allocator ? symbol.address : nullptr;
}

void ResolveNext() {
  const base::Symbol next_malloc = base::FindNext("malloc");
  g_allocator = next_malloc.owner;
  const char* whose;
  const bool anothers = MallocIsAnothers(&whose);
  const auto find = anothers ? base::FindFirst : base::FindNext;
  if (!anothers && FindInAllocator("_Znwm") != nullptr && FindInAllocator("_ZdlPv") != nullptr) {
    Set(g_next.new_object, FindInAllocator("_Znwm"));
    Set(g_next.new_array, FindInAllocator("_Znam"));
    Set(g_next.new_object_nothrow, FindInAllocator("_ZnwmRKSt9nothrow_t"));
    Set(g_next.new_array_nothrow, FindInAllocator("_ZnamRKSt9nothrow_t"));
    Set(g_next.new_object_aligned, FindInAllocator("_ZnwmSt11align_val_t"));
    Set(g_next.new_array_aligned, FindInAllocator("_ZnamSt11align_val_t"));
    Set(g_next.new_object_aligned_nothrow, FindInAllocator("_ZnwmSt11align_val_tRKSt9nothrow_t"));
    Set(g_next.new_array_aligned_nothrow, FindInAllocator("_ZnamSt11align_val_tRKSt9nothrow_t"));
    Set(g_next.delete_object_sized, FindInAllocator("_ZdlPvm"));
    Set(g_next.delete_array_sized, FindInAllocator("_ZdaPvm"));
    Set(g_next.delete_object_sized_aligned, FindInAllocator("_ZdlPvmSt11align_val_t"));
    Set(g_next.delete_array_sized_aligned, FindInAllocator("_ZdaPvmSt11align_val_t"));
    __atomic_store_n(&g_has_operators, true, __ATOMIC_RELEASE);
  }
  Set(g_next.free_sized, anothers ? find("free").address : FindInAllocator("free_sized"));
  Set(g_next.free_aligned_sized, anothers ? find("free").address : FindInAllocator("free_aligned_sized"));
  Set(g_next.malloc_for_new, find("malloc").address);
  Set(g_next.posix_memalign_for_new, find("posix_memalign").address);
  Set(g_next.realloc_for_array, find("realloc").address);
  Set(g_next.mallocx, FindInAllocator("mallocx"));
  Set(g_next.rallocx, FindInAllocator("rallocx"));
  Set(g_next.xallocx, FindInAllocator("xallocx"));
  Set(g_next.dallocx, FindInAllocator("dallocx"));
  Set(g_next.sdallocx, FindInAllocator("sdallocx"));
  Set(g_next.calloc, base::FindNext("calloc").address);
  Set(g_next.realloc, base::FindNext("realloc").address);
  Set(g_next.posix_memalign, base::FindNext("posix_memalign").address);
  Set(g_next.aligned_alloc, base::FindNext("aligned_alloc").address);
  Set(g_next.memalign, base::FindNext("memalign").address);
  Set(g_next.valloc, base::FindNext("valloc").address);
  Set(g_next.pvalloc, base::FindNext("pvalloc").address);
  // delete without a size is free: these allocators' own come back to free by its public name, which is ours.
  void* const free_for_delete = find("free").address;
  Set(g_next.delete_object, free_for_delete);
  Set(g_next.delete_object_aligned, free_for_delete);
  if (!AllocatorHasOperators()) {  // free ignores what the calling convention passes beside the block
    Set(g_next.delete_object_sized, free_for_delete);
    Set(g_next.delete_array_sized, free_for_delete);
    Set(g_next.delete_object_sized_aligned, free_for_delete);
    Set(g_next.delete_array_sized_aligned, free_for_delete);
  }
  Set(g_next.free, base::FindNext("free").address);
  Set(g_next.malloc, next_malloc.address);
}

bool AllocatorHasOperators() { return g_has_operators; }

bool MallocIsAnothers(const char** whose) {
  const base::Symbol first = base::FindFirst("malloc");
  *whose = first.owner != nullptr ? first.owner->l_name : "";
  return first.owner != nullptr && !base::IsOurs(first.owner);
}

void* MallocForNew(size_t size, const void*) { return g_next.malloc_for_new(size != 0 ? size : 1); }

void* MallocForNew(size_t size, size_t alignment, const void*) {
  void* block = nullptr;
  if (alignment < sizeof(void*)) alignment = sizeof(void*);
  return g_next.posix_memalign_for_new(&block, alignment, size != 0 ? size : 1) == 0 ? block : nullptr;
}

const char* AllocatorPath() { return g_allocator != nullptr ? g_allocator->l_name : nullptr; }

}  // namespace heapecho::hook

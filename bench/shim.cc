// SPDX-License-Identifier: Apache-2.0
// The baseline: a preloaded library whose functions load a pointer and jump to the next
// allocator's.
//
// What it costs to stand in front of an allocator at all; what heapecho costs is measured above it.
// Each function goes exactly where heapecho's of that name goes (operator new straight to the next
// malloc, unless the library that serves malloc exports operators of its own), so that their
// difference is heapecho's work and not a different route. For benchmarks only: a failed operator
// new returns null here.
#include <dlfcn.h>

#include <cstddef>

#define SHIM_EXPORT extern "C" __attribute__((visibility("default")))

// FUNCTION(result, name, parameters, arguments), required ones: every allocator has them.
#define SHIM_MALLOC_FUNCTIONS(FUNCTION)                                                         \
  FUNCTION(void*, malloc, (size_t size), (size))                                                \
  FUNCTION(void, free, (void* block), (block))                                                  \
  FUNCTION(void*, calloc, (size_t count, size_t size), (count, size))                           \
  FUNCTION(void*, realloc, (void* block, size_t size), (block, size))                           \
  FUNCTION(void*, reallocarray, (void* block, size_t count, size_t size), (block, count, size)) \
  FUNCTION(int, posix_memalign, (void** block, size_t alignment, size_t size),                  \
           (block, alignment, size))                                                            \
  FUNCTION(void*, aligned_alloc, (size_t alignment, size_t size), (alignment, size))            \
  FUNCTION(void*, memalign, (size_t alignment, size_t size), (alignment, size))                 \
  FUNCTION(void*, valloc, (size_t size), (size))                                                \
  FUNCTION(void*, pvalloc, (size_t size), (size))                                               \
  FUNCTION(size_t, malloc_usable_size, (void* block), (block))

// FUNCTION(result, mangled name, parameters, arguments, where it goes without operators next):
// operator new and delete by their linker names, so that they are functions like the others.
#define SHIM_OPERATORS(FUNCTION)                                                                   \
  FUNCTION(void*, _Znwm, (size_t size), (size), NewByMalloc)                                       \
  FUNCTION(void*, _Znam, (size_t size), (size), NewByMalloc)                                       \
  FUNCTION(void*, _ZnwmRKSt9nothrow_t, (size_t size, const void* tag), (size, tag), NewByMalloc)   \
  FUNCTION(void*, _ZnamRKSt9nothrow_t, (size_t size, const void* tag), (size, tag), NewByMalloc)   \
  FUNCTION(void*, _ZnwmSt11align_val_t, (size_t size, size_t alignment), (size, alignment),        \
           NewByMemalign)                                                                          \
  FUNCTION(void*, _ZnamSt11align_val_t, (size_t size, size_t alignment), (size, alignment),        \
           NewByMemalign)                                                                          \
  FUNCTION(void*, _ZnwmSt11align_val_tRKSt9nothrow_t,                                              \
           (size_t size, size_t alignment, const void* tag), (size, alignment, tag),               \
           NewByMemalign)                                                                          \
  FUNCTION(void*, _ZnamSt11align_val_tRKSt9nothrow_t,                                              \
           (size_t size, size_t alignment, const void* tag), (size, alignment, tag),               \
           NewByMemalign)                                                                          \
  FUNCTION(void, _ZdlPv, (void* block), (block), DeleteByFree)                                     \
  FUNCTION(void, _ZdaPv, (void* block), (block), DeleteByFree)                                     \
  FUNCTION(void, _ZdlPvm, (void* block, size_t size), (block, size), DeleteByFree)                 \
  FUNCTION(void, _ZdaPvm, (void* block, size_t size), (block, size), DeleteByFree)                 \
  FUNCTION(void, _ZdlPvRKSt9nothrow_t, (void* block, const void* tag), (block, tag), DeleteByFree) \
  FUNCTION(void, _ZdaPvRKSt9nothrow_t, (void* block, const void* tag), (block, tag), DeleteByFree) \
  FUNCTION(void, _ZdlPvSt11align_val_t, (void* block, size_t alignment), (block, alignment),       \
           DeleteByFree)                                                                           \
  FUNCTION(void, _ZdaPvSt11align_val_t, (void* block, size_t alignment), (block, alignment),       \
           DeleteByFree)                                                                           \
  FUNCTION(void, _ZdlPvmSt11align_val_t, (void* block, size_t size, size_t alignment),             \
           (block, size, alignment), DeleteByFree)                                                 \
  FUNCTION(void, _ZdaPvmSt11align_val_t, (void* block, size_t size, size_t alignment),             \
           (block, size, alignment), DeleteByFree)

namespace {

// Every pointer starts at a function that resolves all of them, for whoever allocates before
// Initialize().
#define DECLARE_POINTER(result, name, parameters, arguments, ...) \
  result Bootstrap_##name parameters;                             \
  constinit decltype(&Bootstrap_##name) g_##name = &Bootstrap_##name;
SHIM_MALLOC_FUNCTIONS(DECLARE_POINTER)
SHIM_OPERATORS(DECLARE_POINTER)
#undef DECLARE_POINTER

template <typename... Ignored>
void* NewByMalloc(size_t size, Ignored...) {
  return g_malloc(size);
}
template <typename... Ignored>
void* NewByMemalign(size_t size, size_t alignment, Ignored...) {
  return g_memalign(alignment, size);
}
template <typename... Ignored>
void DeleteByFree(void* block, Ignored...) {
  g_free(block);
}

template <typename Function>
void Assign(Function& pointer, void* address) {
  pointer = reinterpret_cast<Function>(address);
}

const void* LibraryOf(const void* function) {
  Dl_info where;
  return function != nullptr && dladdr(function, &where) != 0 ? where.dli_fbase : nullptr;
}

// The malloc family first: a dlsym that finds nothing (there may be no operator new anywhere)
// allocates its message. Should one that succeeds allocate as well, there is no allocator to ask:
// the trap says so.
void ResolveAll() {
  static constinit bool resolving = false;
  if (resolving) __builtin_trap();
  resolving = true;
#define RESOLVE_REQUIRED(result, name, parameters, arguments) \
  Assign(g_##name, dlsym(RTLD_NEXT, #name));
  SHIM_MALLOC_FUNCTIONS(RESOLVE_REQUIRED)
#undef RESOLVE_REQUIRED
  const void* library = LibraryOf(reinterpret_cast<const void*>(g_malloc));
#define RESOLVE_OPERATOR(result, name, parameters, arguments, fallback)                      \
  if (void* next = dlsym(RTLD_NEXT, #name); next != nullptr && LibraryOf(next) == library) { \
    Assign(g_##name, next);                                                                  \
  } else {                                                                                   \
    g_##name = &fallback;                                                                    \
  }
  SHIM_OPERATORS(RESOLVE_OPERATOR)
#undef RESOLVE_OPERATOR
  resolving = false;
}

#define DEFINE_BOOTSTRAP(result, name, parameters, arguments, ...) \
  result Bootstrap_##name parameters {                             \
    ResolveAll();                                                  \
    return g_##name arguments;                                     \
  }
SHIM_MALLOC_FUNCTIONS(DEFINE_BOOTSTRAP)
SHIM_OPERATORS(DEFINE_BOOTSTRAP)
#undef DEFINE_BOOTSTRAP

__attribute__((constructor)) void Initialize() { ResolveAll(); }

}  // namespace

#define DEFINE_FUNCTION(result, name, parameters, arguments, ...) \
  SHIM_EXPORT result name parameters noexcept { return g_##name arguments; }
SHIM_MALLOC_FUNCTIONS(DEFINE_FUNCTION)
SHIM_OPERATORS(DEFINE_FUNCTION)
#undef DEFINE_FUNCTION

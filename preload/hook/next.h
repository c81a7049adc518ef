// SPDX-License-Identifier: Apache-2.0
// The functions that ours stand in front of: the next definition in the loader's order, so that a jemalloc,
// tcmalloc or mimalloc below stays in use.
//
// Each pointer starts at a bootstrap function that finds them all and then forwards, so the unsampled path asks
// nothing, and the first malloc may come before any constructor.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::hook {

struct NextFunctions {
  void* (*malloc)(size_t);
  void (*free)(void*);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  int (*posix_memalign)(void**, size_t, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  void* (*memalign)(size_t, size_t);
  void* (*valloc)(size_t);
  void* (*pvalloc)(size_t);

  // What operator new and reallocarray are made of: the same functions as above, unless the program's malloc is
  // not ours (MallocIsAnothers): then the program's, since the block will come to the program's free.
  void* (*malloc_for_new)(size_t);
  int (*posix_memalign_for_new)(void**, size_t, size_t);
  void* (*realloc_for_array)(void*, size_t);

  void (*free_sized)(void*, size_t);                 // C23; free where the allocator has none
  void (*free_aligned_sized)(void*, size_t, size_t);  // likewise

  // operator new: the allocator's own where its library exports it, else made of malloc. None returns null
  // where the language forbids it. delete without a size is free.
  void* (*new_object)(size_t);
  void* (*new_array)(size_t);
  void* (*new_object_nothrow)(size_t, const void*);
  void* (*new_array_nothrow)(size_t, const void*);
  void* (*new_object_aligned)(size_t, size_t);
  void* (*new_array_aligned)(size_t, size_t);
  void* (*new_object_aligned_nothrow)(size_t, size_t, const void*);
  void* (*new_array_aligned_nothrow)(size_t, size_t, const void*);
  void (*delete_object)(void*);
  void (*delete_object_sized)(void*, size_t);
  void (*delete_array_sized)(void*, size_t);
  void (*delete_object_aligned)(void*);
  void (*delete_object_sized_aligned)(void*, size_t, size_t);
  void (*delete_array_sized_aligned)(void*, size_t, size_t);

  // jemalloc's own calls; null where no jemalloc is below.
  void* (*mallocx)(size_t, int);
  void* (*rallocx)(void*, size_t, int);
  size_t (*xallocx)(void*, size_t, size_t, int);
  void (*dallocx)(void*, int);
  void (*sdallocx)(void*, size_t, int);
};

extern constinit NextFunctions g_next __attribute__((visibility("hidden")));

// Finds them all; from the constructor, or from whichever bootstrap function is called first. Allocates
// nothing, calls nothing of the loader's.
void ResolveNext();

// Whether the allocator's library exports operator new.
bool AllocatorHasOperators();

// Whether the program's malloc is not ours: its executable brings one along, or a library that was loaded before us.
// Then nothing can be recorded, and what the program calls of ours only forwards. `whose` gets the path of the
// library; "" for the executable.
bool MallocIsAnothers(const char** whose);

// What operator new is made of where it does not: null when malloc refuses, and nothing else is done.
void* MallocForNew(size_t size, const void* nothrow = nullptr);
void* MallocForNew(size_t size, size_t alignment, const void* nothrow = nullptr);

// What the library that serves malloc below us exports under `name`, if that is what comes next in the loader's order;
// null otherwise. At start-up.
void* FindInAllocator(const char* name);

// Path of the module that serves malloc below us; null before ResolveNext().
const char* AllocatorPath();

}  // namespace heapecho::hook

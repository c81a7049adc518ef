// SPDX-License-Identifier: Apache-2.0
// A library for a running Python: makes unsampled pairs of its allocation calls, inside the
// function Counted, whose instructions callgrind counts. Loaded and driven by pairs.py.
#include <dlfcn.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bench/sampled_blocks.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

constexpr size_t kSampledBlocks = 64;  // valgrind gives little more address space
constexpr size_t kSize = 64;
constexpr size_t kHeld = 1024;
constexpr long kMostBefore = 1'000'000;

using Malloc = void* (*)(size_t);
using Calloc = void* (*)(size_t, size_t);
using Realloc = void* (*)(void*, size_t);
using Free = void (*)(void*);

Malloc g_malloc = nullptr;
Calloc g_calloc = nullptr;
Realloc g_realloc = nullptr;
Free g_free = nullptr;

inline void Keep(void*& block) { asm volatile("" : "+r"(block)); }

void MallocFree(long count) {
  for (long i = 0; i < count; ++i) {
    void* block = g_malloc(kSize);
    Keep(block);
    g_free(block);
  }
}

void CallocFree(long count) {
  for (long i = 0; i < count; ++i) {
    void* block = g_calloc(1, kSize);
    Keep(block);
    g_free(block);
  }
}

// A block that stays in its size class stays in place: the pair is one call.
void ReallocInPlace(long count) {
  static constinit void* block = nullptr;
  for (long i = 0; i < count; ++i) {
    block = g_realloc(block, kSize);
    Keep(block);
  }
}

template <typename Function>
bool Find(Function* function, const char* domain, const char* name) {
  char symbol[64];
  std::strcpy(symbol, domain);
  *function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, std::strcat(symbol, name)));
  return *function != nullptr;
}

// How many instructions the interpreter takes to recognise its own block depends on where in an
// arena's megabyte it lies, and so on what else is mapped: from here on arenas begin where a
// megabyte does.
constexpr size_t kArena = size_t{1} << 20;

struct ArenaAllocator {  // PyObjectArenaAllocator, as CPython's documentation gives it
  void* context;
  void* (*alloc)(void* context, size_t size);
  void (*free)(void* context, void* arena, size_t size);
};

uintptr_t g_arenas_from = UINTPTR_MAX, g_arenas_to = 0;

void* AllocateArena(void*, size_t size) {
  void* const mapped =
      mmap(nullptr, size + kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const uintptr_t arena = (reinterpret_cast<uintptr_t>(mapped) + kArena - 1) / kArena * kArena;
  if (arena < g_arenas_from) g_arenas_from = arena;
  if (arena + size > g_arenas_to) g_arenas_to = arena + size;
  return reinterpret_cast<void*>(arena);
}

void KeepArena(void*, void*, size_t) {}

// The interpreter's pools are as an application's that has run for a while: where pairs are made
// none is full and none is empty, so that no pair takes or gives back a pool.
bool FillPools() {
  void (*set_arenas)(ArenaAllocator*);
  if (!Find(&set_arenas, "PyObject", "_SetArenaAllocator")) return false;
  ArenaAllocator arenas = {nullptr, AllocateArena, KeepArena};
  set_arenas(&arenas);
  static constinit void* held[kHeld] = {};
  size_t count = 0;
  // What is left of the arenas before is used up first, and stays so.
  for (long left = kMostBefore; count < kHeld && left > 0; --left) {
    void* const block = g_malloc(kSize);
    if (block == nullptr) return false;
    const auto address = reinterpret_cast<uintptr_t>(block);
    if (address >= g_arenas_from && address < g_arenas_to) held[count++] = block;
  }
  for (size_t i = 0; i < count; i += 2) g_free(held[i]);
  return count == kHeld;
}

}  // namespace

// Callgrind counts between entering and leaving this function. Named for --toggle-collect.
EXPORTED __attribute__((noinline)) void Counted(void (*pairs)(long), long count) {
  pairs(count);
  asm volatile("" ::: "memory");
}

// `domain`: "PyObject" or "PyMem". Called with the GIL. Whether there was such a kind, and memory
// for it.
EXPORTED bool heapecho_bench_pairs(const char* domain, const char* kind, long count) {
  if (!Find(&g_malloc, domain, "_Malloc") || !Find(&g_calloc, domain, "_Calloc") ||
      !Find(&g_realloc, domain, "_Realloc") || !Find(&g_free, domain, "_Free")) {
    return false;
  }
  void (*pairs)(long) = nullptr;
  if (std::strcmp(kind, "malloc_free") == 0) pairs = MallocFree;
  if (std::strcmp(kind, "calloc_free") == 0) pairs = CallocFree;
  if (std::strcmp(kind, "realloc") == 0) pairs = ReallocInPlace;
  if (pairs == nullptr) return false;
  heapecho::bench::HoldSampledBlocks(kSampledBlocks);
  if (!FillPools()) return false;
  pairs(count);  // first touches and first draws are nobody's pair
  Counted(pairs, count);
  return true;
}

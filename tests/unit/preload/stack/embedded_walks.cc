// SPDX-License-Identifier: Apache-2.0
// A library for a running Python: wraps the interpreter's allocators and compares walks at some of
// their calls. Loaded and driven by embedded_walks.py.
#include <dlfcn.h>
#include <string.h>

#include <atomic>

#include "preload/stack/modules.h"
#include "preload/stack/native_unwinder.h"
#include "tests/unit/preload/stack/walk_comparison.h"

namespace {

// PyMemAllocatorEx, as CPython's documentation gives it.
struct Allocator {
  void* context;
  void* (*malloc)(void*, size_t);
  void* (*calloc)(void*, size_t, size_t);
  void* (*realloc)(void*, void*, size_t);
  void (*free)(void*, void*);
};
using AccessAllocator = void (*)(int domain, Allocator*);

constexpr int kDomains = 3;
Allocator g_real[kDomains];
AccessAllocator g_set = nullptr;

std::atomic<uint64_t> g_calls{0};
std::atomic<uint64_t> g_seed{1};
std::atomic<int> g_made{0}, g_different{0}, g_broken{0}, g_most_frames{0};
char g_first[2048];
thread_local bool g_inside = false;

__attribute__((noinline)) void MaybeCompare() {
  // About one call in 61, not periodically.
  const uint64_t call = g_calls.fetch_add(1);
  if (((call + g_seed) * 0x9e3779b97f4a7c15 >> 32) % 61 != 0 || g_inside) return;
  g_inside = true;
  const heapecho::testing::Comparison comparison = heapecho::testing::CompareWithLibunwind();
  if (!comparison.same && g_different.fetch_add(1) == 0) {
    strncpy(g_first, comparison.difference, sizeof(g_first) - 1);
  }
  if (comparison.broken) g_broken.fetch_add(1);
  if (static_cast<int>(comparison.frames) > g_most_frames) {
    g_most_frames = static_cast<int>(comparison.frames);
  }
  g_made.fetch_add(1);
  g_inside = false;
}

void* Malloc(void* context, size_t size) {
  MaybeCompare();
  const auto* real = static_cast<Allocator*>(context);
  return real->malloc(real->context, size);
}
void* Calloc(void* context, size_t count, size_t size) {
  MaybeCompare();
  const auto* real = static_cast<Allocator*>(context);
  return real->calloc(real->context, count, size);
}
void* Realloc(void* context, void* block, size_t size) {
  MaybeCompare();
  const auto* real = static_cast<Allocator*>(context);
  return real->realloc(real->context, block, size);
}
void Free(void* context, void* block) {
  const auto* real = static_cast<Allocator*>(context);
  real->free(real->context, block);
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED int heapecho_begin(uint64_t seed) {
  heapecho::stack::InitializeNativeUnwinder();
  const auto get = reinterpret_cast<AccessAllocator>(dlsym(RTLD_DEFAULT, "PyMem_GetAllocator"));
  g_set = reinterpret_cast<AccessAllocator>(dlsym(RTLD_DEFAULT, "PyMem_SetAllocator"));
  if (get == nullptr || g_set == nullptr) return -1;
  g_seed = seed;
  for (int domain = 0; domain < kDomains; ++domain) {
    get(domain, &g_real[domain]);
    Allocator wrapped = {&g_real[domain], Malloc, Calloc, Realloc, Free};
    g_set(domain, &wrapped);
  }
  return 0;
}

EXPORTED void heapecho_end() {
  for (int domain = 0; domain < kDomains; ++domain) g_set(domain, &g_real[domain]);
}

EXPORTED int heapecho_made() { return g_made; }
EXPORTED int heapecho_different() { return g_different; }
EXPORTED int heapecho_broken() { return g_broken; }
EXPORTED int heapecho_most_frames() { return g_most_frames; }
EXPORTED const char* heapecho_first_difference() { return g_first; }

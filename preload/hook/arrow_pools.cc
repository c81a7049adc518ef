// SPDX-License-Identifier: Apache-2.0
// What stands in the vtables of Arrow's memory pools: each counts, and calls on to the pool's own
// function.
//
// Every class of pools has functions of ours to itself, so that what they forward to is known
// without asking the pool. Arrow's functions return a Status, one pointer that is null for OK, in
// memory that the caller passes in front of `this`; all their arguments go in registers.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "preload/hook/arrow.h"
#include "preload/hook/guard.h"
#include "preload/hook/observe.h"
#include "preload/pools/constant_word.h"

namespace heapecho::hook {
namespace {

using Status = void*;
using AllocateFunction = Status* (*)(Status*, void*, size_t, uintptr_t, uintptr_t);
using ReallocateFunction = Status* (*)(Status*, void*, size_t, size_t, uintptr_t, uintptr_t);
using FreeFunction = void (*)(void*, void*, size_t, size_t);

// What one class's hooks forward to. Constant while the hooks are in its vtable.
struct Pool {
  AllocateFunction allocate;
  ReallocateFunction reallocate;
  FreeFunction free;
  bool aligned;  // ArrowFile::aligned: the pointer to the block is the last argument but for an
                 // alignment before it
};
constinit Pool g_pools[kMostArrows * pools::kMostArrowPools] = {};

void** BlockOf(const Pool& pool, uintptr_t first, uintptr_t second) {
  return reinterpret_cast<void**>(pool.aligned ? second : first);
}

__attribute__((noinline)) Status* AllocateFrom(const Pool& pool, Status* status, void* self,
                                               size_t size, uintptr_t first, uintptr_t second) {
  const bool due = Due(size);
  {
    Uncounted uncounted;
    status = pool.allocate(status, self, size, first, second);
  }
  if (due) {
    AllocatedSlow(*status == nullptr ? *BlockOf(pool, first, second) : nullptr, size,
                  wire::Domain::kArrow);
  }
  return status;
}

// A block of size zero is the same for all, and is never sampled: nothing falls due on no bytes.
__attribute__((noinline)) Status* ReallocateFrom(const Pool& pool, Status* status, void* self,
                                                 size_t old_size, size_t size, uintptr_t first,
                                                 uintptr_t second) {
  void** const block = BlockOf(pool, first, second);
  Reallocation taken;
  taken.slot = live::kNoSlot;
  if (MayBeSampled(*block)) taken = BeginReallocation(*block);
  const bool due = Due(size);
  {
    Uncounted uncounted;
    status = pool.reallocate(status, self, old_size, size, first, second);
  }
  const bool done = *status == nullptr;
  if (taken.slot != live::kNoSlot) EndReallocation(taken, done);
  if (due) AllocatedSlow(done ? *block : nullptr, size, wire::Domain::kArrow);
  return status;
}

template <size_t kIndex>
struct Hooks {
  static Status* Allocate(Status* status, void* self, size_t size, uintptr_t first,
                          uintptr_t second) {
    return AllocateFrom(g_pools[kIndex], status, self, size, first, second);
  }
  static Status* Reallocate(Status* status, void* self, size_t old_size, size_t size,
                            uintptr_t first, uintptr_t second) {
    return ReallocateFrom(g_pools[kIndex], status, self, old_size, size, first, second);
  }
  static void Free(void* self, void* block, size_t size, size_t alignment) {
    if (MayBeSampled(block)) FreeingSlow(block);
    g_pools[kIndex].free(self, block, size, alignment);
  }
};

struct HookAddresses {
  AllocateFunction allocate;
  ReallocateFunction reallocate;
  FreeFunction free;
};
template <size_t... kIndexes>
struct HookTable {
  HookAddresses hooks[sizeof...(kIndexes)] = {
      {Hooks<kIndexes>::Allocate, Hooks<kIndexes>::Reallocate, Hooks<kIndexes>::Free}...};
};
template <size_t... kIndexes>
constexpr HookTable<kIndexes...> MakeTable(std::index_sequence<kIndexes...>) {
  return {};
}
constexpr auto kHooks = MakeTable(std::make_index_sequence<kMostArrows * pools::kMostArrowPools>());

template <typename Function>
uintptr_t AddressOf(Function function) {
  return reinterpret_cast<uintptr_t>(function);
}

}  // namespace

bool HookArrowPools(size_t bank, const pools::ArrowFile& file) {
  for (size_t i = 0; i < file.pool_count; ++i) {
    const pools::ArrowPool& slots = file.pools[i];
    const size_t index = bank * pools::kMostArrowPools + i;
    const HookAddresses& hooks = kHooks.hooks[index];
    g_pools[index] = {.allocate = reinterpret_cast<AllocateFunction>(*slots.allocate),
                      .reallocate = reinterpret_cast<ReallocateFunction>(*slots.reallocate),
                      .free = reinterpret_cast<FreeFunction>(*slots.free),
                      .aligned = file.aligned};
    if (!pools::ReplaceConstantWord(slots.free, AddressOf(hooks.free)) ||
        !pools::ReplaceConstantWord(slots.reallocate, AddressOf(hooks.reallocate)) ||
        !pools::ReplaceConstantWord(slots.allocate, AddressOf(hooks.allocate))) {
      return false;
    }
  }
  return true;
}

bool ArrowPoolsAreHooked(size_t bank, const pools::ArrowFile& file) {
  for (size_t i = 0; i < file.pool_count; ++i) {
    const HookAddresses& hooks = kHooks.hooks[bank * pools::kMostArrowPools + i];
    if (*file.pools[i].free == AddressOf(hooks.free)) return true;
  }
  return false;
}

}  // namespace heapecho::hook

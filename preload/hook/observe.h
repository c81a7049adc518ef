// SPDX-License-Identifier: Apache-2.0
// The slow paths: what happens to an allocation that is sampled and to a block that may have been. observe.cc
// is the only file that knows all rooms.
//
// Everything here is called from inside somebody's malloc or free: no lock, no wait, no allocation, no
// libc call that is a cancellation point; errno stays as it was; failures are counted and silent.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/hook/thread_state.h"
#include "preload/live/free_filter.h"
#include "preload/live/live_set.h"

namespace heapecho::hook {

// The thread's countdown went below zero with this allocation, which the allocator has just made (null: it
// refused). Returns `block`.
void* AllocatedSlow(void* block, size_t size);

// The block's address may be a sampled one, and it is about to be freed.
void FreeingSlow(void* block);

// realloc and its kin. Before the real call: takes the block out of the live set if it is sampled. Afterwards:
// it was freed, or (the call failed) is put back.
struct Reallocation {
  live::Block block;
  uint32_t slot;  // live::kNoSlot: it was no sampled one
};
Reallocation BeginReallocation(void* block);
void EndReallocation(const Reallocation& reallocation, bool freed);

// Counts an allocation of `size` bytes at `block` and samples it when its turn has come.
inline __attribute__((always_inline)) void* Allocated(void* block, size_t size) {
  if (__builtin_expect((t_state.countdown -= static_cast<int64_t>(size)) < 0, 0)) {
    return AllocatedSlow(block, size);
  }
  return block;
}

inline __attribute__((always_inline)) bool MayBeSampled(const void* block) {
  return __builtin_expect(live::MayBeSampled(reinterpret_cast<uintptr_t>(block)), 0);
}

// The library's constructor: reads the options, maps the tables, and starts sampling.
void Initialize();

// A dlclose is about to be made, or has been.
void ModulesMayHaveChanged();

// In the child of a fork(), before it does anything else.
void AfterForkInChild();

// How the process is about to end. `status` is what exit was given.
void ProcessExits(int status);
void ProcessExecs();
void ExecFailed();

}  // namespace heapecho::hook

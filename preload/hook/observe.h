// SPDX-License-Identifier: Apache-2.0
// The slow paths: what happens to an allocation that is sampled and to a block that may have been.
//
// Everything here is called from inside somebody's malloc or free: no lock, no wait, no allocation,
// no libc call that is a cancellation point; errno stays as it was; failures are counted and
// silent.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/hook/thread_state.h"
#include "preload/live/free_filter.h"
#include "preload/live/live_set.h"
#include "preload/wire/format.h"

namespace heapecho::hook {

// Due() said so of this allocation, which the allocator has made since (null: it refused). Returns
// `block`. `domain` is who asked; what a pool asks malloc for is the pool's (Asking).
void* AllocatedSlow(void* block, size_t size, wire::Domain domain = wire::Domain::kMalloc);

// While one is alive, what this thread asks malloc for is asked in the name of `domain`.
class Asking {
 public:
  explicit Asking(wire::Domain domain) : before_(t_state.domain) {
    t_state.domain = static_cast<uint8_t>(domain);
  }
  ~Asking() { t_state.domain = before_; }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

 private:
  const uint8_t before_;
};

// The block's address may be a sampled one, and it is about to be freed.
void FreeingSlow(void* block);

// realloc and its kin. Before the real call: takes the block out of the live set if it is sampled.
// Afterwards: it was freed, or (the call failed) is put back.
struct Reallocation {
  live::Block block;
  uint32_t slot;  // live::kNoSlot: it was no sampled one
};
Reallocation BeginReallocation(void* block);
void EndReallocation(const Reallocation& reallocation, bool freed);

// Counts `size` bytes down, before they are allocated, and says whether the next sample falls into
// them. Then, and only then, the caller must tell AllocatedSlow() how it went. One instruction, so
// that an allocation of a signal handler is not lost between load and store; unsigned, so that no
// request is too large to be counted. A call that fails without being due has been counted all the
// same: points that fall on failed calls are dropped, and what is left is still Poisson over the
// bytes that were had.
inline __attribute__((always_inline)) bool Due(size_t size) {
  bool borrow;
  __asm__("subq %2, %1" : "=@ccb"(borrow), "+m"(t_state.countdown) : "er"(size) : "cc");
  return __builtin_expect(borrow, 0);
}

// For events that no countdown asks for. Seeds a thread that is new to this process, whose countdown begins behind the guard.
void SeedIfNew(ThreadState& thread, class Guard& guard);
// After an event: the automatic interval, and the counters' mirror, some ten times a second.
void ControlInterval(uint64_t now);

// Due() said so of a small object that pymalloc would serve. True: it is to be sampled, and the caller now makes
// pymalloc ask malloc for it, whose hook takes the sample, and then calls ObjectWasAsked(). False: no sample.
bool ObjectIsDue(size_t size);
void ObjectWasAsked();

inline __attribute__((always_inline)) bool MayBeSampled(const void* block) {
  return __builtin_expect(live::MayBeSampled(reinterpret_cast<uintptr_t>(block)), 0);
}

}  // namespace heapecho::hook

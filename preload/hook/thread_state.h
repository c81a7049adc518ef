// SPDX-License-Identifier: Apache-2.0
// What the library keeps in each thread: one cache line of TLS, zero until the thread's first slow
// path.
#pragma once

#include <cstdint>
#include <type_traits>

#include "preload/stack/native_unwinder.h"

namespace heapecho::hook {

struct ThreadState {
  // Bytes that may still be allocated before the one that is sampled. Zero at birth, so that a
  // thread's first allocation enters the slow path and is seeded there.
  uint64_t countdown;
  uint64_t random;
  stack::StackBounds bounds;
  uint32_t interval;   // bytes; belongs to the gap that is being counted down
  uint32_t thread_id;  // the kernel's
  uint32_t ordinal;    // which of the process's threads this is; picks the event writer
  uint32_t epoch;      // of the process it was seeded in; another one: seed again
  uint32_t task;       // the one that runs (tasks.h), from 1; 0: none
  uint16_t record;     // of the table of threads, from 1; 0: none yet; UINT16_MAX: it was full
  uint8_t events;      // sampled events so far, modulo 256; every so many one is timed
  uint8_t opening;  // dlopens under way in this thread, of those that are called (library_hooks.cc)
  uint8_t domain;   // wire::Domain in whose name malloc is asked (Asking)
  uint16_t object_size;  // of the small Python object that malloc is asked for next; 0: none
  // Inside a slow path: allocations are not sampled, sampled blocks are still removed.
  bool guarded;
};
static_assert(sizeof(ThreadState) <= 64, "64 bytes of TLS a thread");
static_assert(std::is_trivially_destructible_v<ThreadState>, "no destructor at thread exit");

extern constinit thread_local ThreadState t_state
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

}  // namespace heapecho::hook

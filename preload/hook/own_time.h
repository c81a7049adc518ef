// SPDX-License-Identifier: Apache-2.0
// How much of the process's time the slow paths take.
#pragma once

#include <cstdint>

#include "preload/hook/state.h"
#include "preload/hook/thread_state.h"
#include "preload/hook/threads.h"

namespace heapecho::hook {

// One in 16 left the interval of a service that samples a hundred times a second to chance.
inline constexpr uint64_t kTimedEvents = 4;

// What an event costs, for the automatic interval. CPU time of the thread, since on a busy machine
// most of the time on the clock is somebody else's; asking for it is a system call, so one event in
// kTimedEvents pays it, and stands for the others.
class OwnTime {
 public:
  explicit OwnTime(ThreadState& thread) {
    ++thread.events;
    // Spread over odd and even counts: a thread that frees what it has just allocated would have
    // its frees timed alone, or its allocations.
    constexpr uint8_t kSpread = 167;
    if (static_cast<uint8_t>(thread.events * kSpread) < 256 / kTimedEvents)
      start_ = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
    RenewThreadName(thread);
  }
  ~OwnTime() {
    if (start_ == 0) return;
    const uint64_t took = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - start_;
    g_state.own_ns.fetch_add(took * kTimedEvents, kRelaxed);
  }
  OwnTime(const OwnTime&) = delete;
  OwnTime& operator=(const OwnTime&) = delete;

 private:
  uint64_t start_ = 0;
};

}  // namespace heapecho::hook

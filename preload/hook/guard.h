// SPDX-License-Identifier: Apache-2.0
// Keeps what happens inside of the library out of the recording.
#pragma once

#include <errno.h>

#include <cstdint>

#include "preload/hook/thread_state.h"

namespace heapecho::hook {

// A countdown that is not reached: 2^62 bytes.
inline constexpr uint64_t kParked = uint64_t{1} << 62;

// While one is alive the thread's countdown is parked, so nothing it allocates is sampled;
// errno comes back as it was.
class Guard {
 public:
  explicit Guard(ThreadState& thread)
      : thread_(thread), countdown_(thread.countdown), error_(errno) {
    thread_.guarded = true;
    thread_.countdown = kParked;
  }
  ~Guard() {
    thread_.countdown = countdown_;
    thread_.guarded = false;
    errno = error_;
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  void SetCountdown(uint64_t countdown) { countdown_ = countdown; }

 private:
  ThreadState& thread_;
  uint64_t countdown_;
  const int error_;
};

// While one is alive, what this thread allocates is neither counted down nor sampled: for what a
// pool asks malloc for when the pool's own block has been counted. Sampled blocks are still
// removed.
class Uncounted {
 public:
  Uncounted() : countdown_(t_state.countdown) { t_state.countdown = kParked; }
  ~Uncounted() { t_state.countdown = countdown_; }
  Uncounted(const Uncounted&) = delete;
  Uncounted& operator=(const Uncounted&) = delete;

 private:
  const uint64_t countdown_;
};

}  // namespace heapecho::hook

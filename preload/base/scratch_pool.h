// SPDX-License-Identifier: Apache-2.0
// Buffers for the slow paths, which may not use the caller's stack (threads with 16 KiB of it exist).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/base/memory.h"

namespace heapecho::base {

// 64 buffers of `Buffer`, taken by compare-and-swap. None free: null, and nobody waits. A thread that dies or
// jumps away while it holds one keeps it for good. What is in one stays there. Zero-initialised: none free.
template <typename Buffer>
class ScratchPool {
 public:
  static constexpr int kBuffers = 64;
  static constexpr uint32_t kKept = 8;

  bool Initialize() {
    buffers_ = static_cast<Buffer*>(MapPrivate(kBuffers * sizeof(Buffer), "heapecho scratch"));
    if (buffers_ != nullptr) Reset();
    return buffers_ != nullptr;
  }
  // All are free. In a forked child, where who held one is not.
  void Reset() { free_.store(~uint64_t{0}, std::memory_order_relaxed); }

  // `thread`, a number of the caller's, has the same of the first few buffers again if nobody else has it; more would be
  // memory that fewer threads could do with.
  Buffer* Take(uint32_t thread = 0) {
    uint64_t free = free_.load(std::memory_order_relaxed);
    while (free != 0) {
      uint64_t mine = free & uint64_t{1} << thread % kKept;
      if (mine == 0) mine = free & -free;
      if (free_.compare_exchange_weak(free, free & ~mine, std::memory_order_acquire)) {
        return &buffers_[__builtin_ctzll(mine)];  // acquire: after what GiveBack's thread did with it
      }
    }
    return nullptr;
  }
  void GiveBack(Buffer* buffer) {
    free_.fetch_or(uint64_t{1} << (buffer - buffers_), std::memory_order_release);
  }

 private:
  Buffer* buffers_ = nullptr;
  std::atomic<uint64_t> free_;  // a bit each
};

}  // namespace heapecho::base

// SPDX-License-Identifier: Apache-2.0
// Events of the recent past: a ring of blocks over given memory, each block one writer's at a time.
//
// Promises:
//  - Lock-free and signal-safe: a writer reserves its record by one fetch_add, so a signal handler, a nested
//    free or a dying thread reserves its own; a thread stopped anywhere hinders no other.
//  - A record is valid by its last word, a check over its content, its block's sequence and its place: what a
//    kill cut short, or a straggler wrote into a block that has moved on, is recognised.
//  - Bounded: the oldest block that nobody writes to is overwritten. No block to be had: dropped, counted.
//  - A block's memory is made present by `present` before it is touched; if that fails, nothing is written.
// More than kWriters threads share writers. Zero-initialised: no memory, everything is dropped silently.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::buffer {

class EventRing {
 public:
  static constexpr uint32_t kWriters = 32;
  static constexpr uint32_t kMostBlocks = 2048;

  // Makes the memory at `address` writable; false: it never will be. `again`: it held events, which are overwritten.
  using Present = bool (*)(void* address, size_t bytes, bool again);

  // Begins anew over `bytes` at `memory`, in blocks of `block_bytes`. Not while anyone writes.
  void Attach(void* memory, size_t bytes, uint32_t block_bytes, Present present);

  // Writes the event as writer `thread % kWriters`; sets `check`. Gives its place; null: dropped and counted.
  const char* Write(uint32_t thread, wire::EventRecord event);

  // Calls `give_back(address, bytes)` for each block that was written to and is nobody's now, until it says for that
  // block that it took the memory, which then reads as zeros. An event that is still being written there may be lost.
  template <typename GiveBack>
  void ForEachFullBlock(GiveBack give_back);

 private:
  static constexpr uint32_t kNoBlock = UINT32_MAX;

  // A writer's block and how many of its records are reserved, in one word, so that both are had at once.
  struct alignas(64) Writer {
    std::atomic<uint64_t> place;  // (block + 1) << 32 | records reserved; 0: no block yet
  };

  uint32_t TakeBlock(uint32_t writer, uint64_t now_ns);
  char* BlockAt(uint32_t block) const { return memory_ + size_t{block} * block_bytes_; }

  char* memory_ = nullptr;
  uint32_t block_bytes_ = 0;
  uint32_t block_count_ = 0;
  uint32_t block_records_ = 0;
  Present present_ = nullptr;
  std::atomic<uint64_t> sequence_;  // of the block taken last
  std::atomic<uint32_t> hand_;      // where the ring goes on
  std::atomic<bool> taken_[kMostBlocks];
  std::atomic<uint64_t> block_sequence_[kMostBlocks];
  std::atomic<bool> given_back_[kMostBlocks];
  Writer writers_[kWriters];
};

template <typename GiveBack>
void EventRing::ForEachFullBlock(GiveBack give_back) {
  for (uint32_t i = 0; i < block_count_; ++i) {
    if (block_sequence_[i].load(std::memory_order_relaxed) == 0 ||
        given_back_[i].load(std::memory_order_relaxed) ||
        taken_[i].exchange(true, std::memory_order_acquire)) {
      continue;
    }
    given_back_[i].store(give_back(BlockAt(i), size_t{block_bytes_}), std::memory_order_relaxed);
    taken_[i].store(false, std::memory_order_release);  // pairs with TakeBlock
  }
}

}  // namespace heapecho::buffer

// SPDX-License-Identifier: Apache-2.0
// The threads that were sampled: who they are and what the kernel calls them. The truth, of which
// the recording has a mirror.
//
// A thread adds its record and renews the name in it, nobody else changes it; any thread may read
// any record at any time, and then has words that were true at one moment each. Nothing here waits
// or allocates. Zero-initialised: full.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::recording {

class ThreadTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Room for `capacity` threads; false when the kernel has no memory.
  bool Initialize(uint32_t capacity);

  // A record for the calling thread, under the name that the kernel has for it now; kNone when the
  // table is full.
  uint32_t Add(uint32_t thread, uint32_t ordinal, uint64_t now_ns);

  // Asks the kernel again what the calling thread is called, whose record this is. Whether that has
  // changed.
  bool RenewName(uint32_t record);

  // Records that were added or are being added: those have a `thread` of zero.
  uint32_t used() const;

  // The words of a record below used().
  const wire::ThreadRecord& Record(uint32_t record) const { return records_[record]; }

  // In a forked child, before anything else is called: its threads are its own.
  void AfterFork();

 private:
  wire::ThreadRecord* records_ = nullptr;
  uint32_t capacity_ = 0;
  std::atomic<uint32_t> taken_;  // may exceed the capacity
};

// How many threads this process has, as the kernel counts them; 0 where it does not say.
uint32_t CountThreads();

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// What this process knows about the ends of others: the children that it reaped, the signals that
// it sent.
//
// Private memory, kept whether the recording has begun or not; the recording mirrors it slot by
// slot. Three rings, so that a process that runs ten thousand small commands still knows how its
// workers died. Lock-free and signal-safe; a record that two writers tear (one lapped the other)
// does not pass its check. Zero-initialised: empty.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::recording {

class ChildLog {
 public:
  enum class Ring : uint32_t { kExits, kKills, kSignals };
  static constexpr uint32_t kSlots = 1024;

  // Gives `record` its sequence and puts it into the ring's next slot, over the oldest. Returns the
  // slot.
  uint32_t Add(Ring ring, wire::ChildRecord record);

  // The call that `slot` announced failed. Nothing where the slot was taken again since.
  void MarkFailed(uint32_t slot, uint64_t sequence);
  uint64_t SequenceAt(uint32_t slot) const;

  // Whether a child that was killed has been added.
  bool saw_kill() const {
    return taken_[static_cast<uint32_t>(Ring::kKills)].load(std::memory_order_relaxed) != 0;
  }

  // False: empty, or being written.
  bool Look(uint32_t slot, wire::ChildRecord* record) const;

  // Whether a record of the signals says that this process sent `signal` to `pid`.
  bool Signalled(int32_t pid, int32_t signal) const;

  // When children of fork() began at the earliest, by their pid: clock ticks after boot, 0 where it
  // is not known (it was no fork of ours, or another child with that slot has been forked since).
  // Taken once.
  void NoteFork(uint32_t pid, uint64_t ticks);
  uint64_t TakeFork(uint32_t pid);

  // In a forked child: these were its parent's.
  void Clear();

 private:
  static constexpr uint32_t kForks = 1024;

  void Store(uint32_t slot, wire::ChildRecord& record);

  wire::ChildRecord records_[kSlots] = {};
  std::atomic<uint64_t> forks_[kForks] =
      {};  // pid in the low 22 bits (the kernel's PID_MAX_LIMIT), ticks above
  std::atomic<uint64_t> sequence_ = 0;
  std::atomic<uint32_t> taken_[3] = {};
};

}  // namespace heapecho::recording

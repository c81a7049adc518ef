// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/child_log.h"

#include <cstddef>

namespace heapecho::recording {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr size_t kWords = sizeof(wire::ChildRecord) / 8;
constexpr uint32_t kPidBits = 22;
constexpr uint64_t kPidMask = (uint64_t{1} << kPidBits) - 1;

struct Slots {
  uint32_t first, count;
};
constexpr Slots kRings[] = {{0, 256}, {256, 512}, {768, 256}};  // by ChildLog::Ring
static_assert(kRings[2].first + kRings[2].count == ChildLog::kSlots);

uint64_t* WordsOf(wire::ChildRecord& record) { return reinterpret_cast<uint64_t*>(&record); }
const uint64_t* WordsOf(const wire::ChildRecord& record) {
  return reinterpret_cast<const uint64_t*>(&record);
}

}  // namespace

void ChildLog::Store(uint32_t slot, wire::ChildRecord& record) {
  record.check = wire::CheckOf(record, slot);
  wire::ChildRecord& to = records_[slot];
  __atomic_store_n(&to.check, 0, __ATOMIC_RELAXED);
  std::atomic_thread_fence(
      std::memory_order_release);  // pairs with Look: no new word before the check is gone
  for (size_t i = 0; i + 1 < kWords; ++i)
    __atomic_store_n(WordsOf(to) + i, WordsOf(record)[i], __ATOMIC_RELAXED);
  __atomic_store_n(&to.check, record.check, __ATOMIC_RELEASE);  // pairs with Look
}

uint32_t ChildLog::Add(Ring ring, wire::ChildRecord record) {
  const auto index = static_cast<uint32_t>(ring);
  const uint32_t slot =
      kRings[index].first + taken_[index].fetch_add(1, kRelaxed) % kRings[index].count;
  record.sequence = sequence_.fetch_add(1, kRelaxed) + 1;
  Store(slot, record);
  return slot;
}

uint64_t ChildLog::SequenceAt(uint32_t slot) const {
  return __atomic_load_n(&records_[slot].sequence, __ATOMIC_RELAXED);
}

void ChildLog::MarkFailed(uint32_t slot, uint64_t sequence) {
  wire::ChildRecord record;
  if (!Look(slot, &record) || record.sequence != sequence) return;
  record.flags |= wire::kSignalFailed;
  Store(slot, record);
}

bool ChildLog::Look(uint32_t slot, wire::ChildRecord* record) const {
  const wire::ChildRecord& from = records_[slot];
  const uint64_t check = __atomic_load_n(&from.check, __ATOMIC_ACQUIRE);  // pairs with Store
  if (check == 0) return false;
  for (size_t i = 0; i + 1 < kWords; ++i)
    WordsOf(*record)[i] = __atomic_load_n(WordsOf(from) + i, __ATOMIC_RELAXED);
  record->check = check;
  return wire::CheckOf(*record, slot) == check;
}

bool ChildLog::Signalled(int32_t pid, int32_t signal) const {
  const Slots& slots = kRings[static_cast<uint32_t>(Ring::kSignals)];
  for (uint32_t i = 0; i < slots.count; ++i) {
    wire::ChildRecord record;
    if (Look(slots.first + i, &record) && record.pid == pid && record.status == signal &&
        (record.flags & wire::kSignalFailed) == 0) {
      return true;
    }
  }
  return false;
}

void ChildLog::NoteFork(uint32_t pid, uint64_t ticks) {
  forks_[pid % kForks].store(ticks << kPidBits | (pid & kPidMask), kRelaxed);
}

uint64_t ChildLog::TakeFork(uint32_t pid) {
  uint64_t word = forks_[pid % kForks].load(kRelaxed);
  if (word == 0 || (word & kPidMask) != (pid & kPidMask)) return 0;
  return forks_[pid % kForks].compare_exchange_strong(word, 0, kRelaxed) ? word >> kPidBits : 0;
}

void ChildLog::Clear() {
  // Only what is there, so that a child that has no children of its own keeps its parent's pages.
  for (int ring = 0; ring < 3; ++ring) {
    const uint32_t taken = taken_[ring].exchange(0, kRelaxed);
    for (uint32_t i = 0; i < kRings[ring].count && i < taken; ++i) {
      __atomic_store_n(&records_[kRings[ring].first + i].check, 0, __ATOMIC_RELAXED);
    }
  }
  for (auto& fork : forks_) {
    if (fork.load(kRelaxed) != 0) fork.store(0, kRelaxed);
  }
  sequence_.store(0, kRelaxed);
}

}  // namespace heapecho::recording

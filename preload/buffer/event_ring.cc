// SPDX-License-Identifier: Apache-2.0
#include "preload/buffer/event_ring.h"

#include "preload/base/counters.h"

namespace heapecho::buffer {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// A writer that loses its new block to another writer of the same slot this often gives up.
constexpr int kTries = 8;

// Plain stores that the compiler may neither tear nor leave out: another process reads them.
template <typename Record>
void StoreWords(char* to, const Record& record) {
  static_assert(sizeof(Record) % 8 == 0);
  uint64_t words[sizeof(Record) / 8];
  __builtin_memcpy(words, &record, sizeof record);
  auto* target = reinterpret_cast<uint64_t*>(to);
  constexpr size_t kLast = sizeof(Record) / 8 - 1;
  __atomic_store_n(&target[kLast], 0, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  for (size_t i = 0; i < kLast; ++i) __atomic_store_n(&target[i], words[i], __ATOMIC_RELAXED);
  __atomic_store_n(&target[kLast], words[kLast], __ATOMIC_RELEASE);  // valid from here on
}

}  // namespace

void EventRing::Attach(void* memory, size_t bytes, uint32_t block_bytes, Present present) {
  memory_ = static_cast<char*>(memory);
  block_bytes_ = block_bytes;
  block_count_ = static_cast<uint32_t>(bytes / block_bytes);
  if (block_count_ > kMostBlocks) block_count_ = kMostBlocks;
  block_records_ =
      static_cast<uint32_t>((block_bytes - sizeof(wire::BlockHeader)) / sizeof(wire::EventRecord));
  present_ = present;
  sequence_.store(0, kRelaxed);
  hand_.store(0, kRelaxed);
  for (uint32_t i = 0; i < block_count_; ++i) {
    taken_[i].store(false, kRelaxed);
    block_sequence_[i].store(0, kRelaxed);
    given_back_[i].store(false, kRelaxed);
  }
  for (Writer& writer : writers_) writer.place.store(0, kRelaxed);
}

uint32_t EventRing::TakeBlock(uint32_t writer, uint64_t now_ns) {
  for (uint32_t i = 0; i < block_count_; ++i) {
    const uint32_t block = hand_.fetch_add(1, kRelaxed) % block_count_;
    if (taken_[block].exchange(true, std::memory_order_acquire)) continue;  // pairs with the releases
    if (!present_(BlockAt(block), block_bytes_, block_sequence_[block].load(kRelaxed) != 0)) {
      taken_[block].store(false, std::memory_order_release);
      return kNoBlock;
    }
    wire::BlockHeader header = {.sequence = sequence_.fetch_add(1, kRelaxed) + 1,
                                .started_ns = now_ns,
                                .writer = writer,
                                .reserved = 0,
                                .check = 0};
    header.check = wire::CheckOf(header, wire::kMagic);
    block_sequence_[block].store(header.sequence, kRelaxed);
    given_back_[block].store(false, kRelaxed);
    StoreWords(BlockAt(block), header);
    return block;
  }
  return kNoBlock;
}

const char* EventRing::Write(uint32_t thread, wire::EventRecord event) {
  if (block_count_ == 0) return nullptr;
  const uint32_t index = thread % kWriters;
  std::atomic<uint64_t>& place = writers_[index].place;
  for (int i = 0; i < kTries; ++i) {
    uint64_t old = place.load(std::memory_order_acquire);
    if (old != 0 && static_cast<uint32_t>(old) < block_records_) {
      old = place.fetch_add(1, std::memory_order_acquire);  // pairs with the exchange below
      const uint32_t record = static_cast<uint32_t>(old);
      if (old != 0 && record < block_records_) {
        const uint32_t block = static_cast<uint32_t>(old >> 32) - 1;
        const uint64_t sequence = block_sequence_[block].load(kRelaxed);
        event.check = wire::CheckOf(event, wire::EventSeed(sequence, record));
        char* const target = BlockAt(block) + sizeof(wire::BlockHeader) + record * sizeof event;
        StoreWords(target, event);
        return target;
      }
      continue;
    }
    const uint32_t block = TakeBlock(index, event.time_ns);
    if (block == kNoBlock) break;
    // Another thread of this writer may have been first, or counted on meanwhile.
    const uint64_t mine = uint64_t{block + 1} << 32;
    bool done = false;
    while (!done && (old == 0 || static_cast<uint32_t>(old) >= block_records_)) {
      done = place.compare_exchange_weak(old, mine, std::memory_order_acq_rel, std::memory_order_acquire);
    }
    const uint32_t given_up = done ? static_cast<uint32_t>(old >> 32) : block + 1;
    if (given_up != 0) taken_[given_up - 1].store(false, std::memory_order_release);
  }
  HEAPECHO_COUNT(events_dropped);
  return nullptr;
}

}  // namespace heapecho::buffer

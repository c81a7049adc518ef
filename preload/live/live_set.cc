// SPDX-License-Identifier: Apache-2.0
#include "preload/live/live_set.h"

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/live/free_filter.h"

namespace heapecho::live {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

constexpr uint64_t Word(uint64_t generation, uint32_t interval) {
  return generation << 32 | interval;
}
constexpr uint32_t IntervalOf(uint64_t word) { return static_cast<uint32_t>(word); }
constexpr uint64_t GenerationOf(uint64_t word) { return word >> 32; }
constexpr uint64_t Key(uintptr_t address, uint32_t entry) { return address << 16 | entry; }

}  // namespace

bool LiveSet::Initialize(uint32_t capacity) {
  const uint32_t buckets = capacity * 2 / kBucketSlots;
  const size_t entry_bytes = base::RoundUp(capacity * sizeof(Entry), base::kPageSize);
  const size_t bucket_bytes = base::RoundUp(buckets * sizeof(Bucket), base::kPageSize);
  const size_t strayed_bytes = buckets * sizeof(uint16_t);
  auto* memory = static_cast<char*>(
      base::MapPrivate(entry_bytes + bucket_bytes + strayed_bytes, "heapecho live"));
  if (memory == nullptr) return false;
  entries_ = reinterpret_cast<Entry*>(memory);
  buckets_ = reinterpret_cast<Bucket*>(memory + entry_bytes);
  strayed_ = reinterpret_cast<std::atomic<uint16_t>*>(memory + entry_bytes + bucket_bytes);
  bucket_mask_ = buckets - 1;
  capacity_ = capacity;
  return true;
}

uint32_t LiveSet::HomeOf(uintptr_t address) const {
  // Another hash than the filter's, so that what collides there does not collide here too. Mixed well, since
  // a bucket that overflows spills into its neighbours.
  uint64_t hash = address * 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 32)) * 0xbf58476d1ce4e5b9;
  return static_cast<uint32_t>(hash >> 40) & bucket_mask_;
}

uint32_t LiveSet::TakeFreeEntry() {
  uint64_t head = free_list_.load(kAcquire);  // pairs with the release in GiveBackEntry
  while (static_cast<uint32_t>(head) != 0) {
    const uint32_t entry = static_cast<uint32_t>(head) - 1;
    const uint64_t next = (head & ~uint64_t{UINT32_MAX}) | entries_[entry].next_free.load(kRelaxed);
    // The tag changes at each push, so a head that was popped and pushed again is not mistaken.
    if (free_list_.compare_exchange_weak(head, next, kAcquire, kAcquire)) return entry;
  }
  uint32_t fresh = fresh_.load(kRelaxed);
  while (fresh < capacity_) {
    if (fresh_.compare_exchange_weak(fresh, fresh + 1, kRelaxed)) return fresh;
  }
  return kNoSlot;
}

void LiveSet::GiveBackEntry(uint32_t entry) {
  uint64_t head = free_list_.load(kRelaxed);
  for (;;) {
    entries_[entry].next_free.store(static_cast<uint32_t>(head), kRelaxed);
    const uint64_t tag = (head >> 32) + 1;
    if (free_list_.compare_exchange_weak(head, tag << 32 | (entry + 1), kRelease, kRelaxed)) return;
  }
}

bool LiveSet::Publish(uintptr_t address, uint32_t entry) {
  const uint32_t home = HomeOf(address);
  for (uint32_t distance = 0; distance < kMostBuckets; ++distance) {
    // Said before the key can be found away from home, taken back if it never was.
    if (distance == 1) strayed_[home].fetch_add(1, kRelaxed);
    for (auto& slot : buckets_[(home + distance) & bucket_mask_].keys) {
      uint64_t empty = 0;
      if (slot.load(kRelaxed) == 0 &&
          slot.compare_exchange_strong(empty, Key(address, entry), kRelease, kRelaxed)) {
        return true;
      }
    }
  }
  strayed_[home].fetch_sub(1, kRelaxed);
  return false;
}

void LiveSet::Unpublish(uintptr_t address, uint32_t entry) {
  const uint32_t home = HomeOf(address);
  for (uint32_t distance = 0; distance < kMostBuckets; ++distance) {
    for (auto& slot : buckets_[(home + distance) & bucket_mask_].keys) {
      if (slot.load(kRelaxed) != Key(address, entry)) continue;
      slot.store(0, kRelease);
      if (distance != 0) strayed_[home].fetch_sub(1, kRelaxed);
      return;
    }
  }
}

uint32_t LiveSet::Insert(const Block& block) {
  if (block.address >> 48 != 0) {
    HEAPECHO_COUNT(address_out_of_range);
    return kNoSlot;
  }
  const uint32_t slot = TakeFreeEntry();
  if (slot == kNoSlot) {
    HEAPECHO_COUNT(live_set_full);
    return kNoSlot;
  }
  Entry& entry = entries_[slot];
  entry.address.store(block.address, kRelaxed);
  entry.size.store(block.size, kRelaxed);
  entry.time_ns.store(block.time_ns, kRelaxed);
  entry.stack.store(block.stack, kRelaxed);
  entry.thread.store(block.thread, kRelaxed);
  if (!Publish(block.address, slot)) {
    GiveBackEntry(slot);
    HEAPECHO_COUNT(live_set_full);
    return kNoSlot;
  }
  AddToFilter(block.address);
  size_.fetch_add(1, kRelaxed);
  // Last: from here on a thinning may take it. Pairs with the acquire where it is claimed.
  const uint64_t generation = GenerationOf(entry.word.load(kRelaxed)) + 1;
  entry.word.store(Word(generation, block.interval), kRelease);
  return slot;
}

bool LiveSet::Contains(uintptr_t address) const {
  if (capacity_ == 0) return false;
  const uint32_t home = HomeOf(address);
  const uint32_t reach = strayed_[home].load(kRelaxed) == 0 ? 1 : kMostBuckets;
  for (uint32_t distance = 0; distance < reach; ++distance) {
    for (const auto& slot : buckets_[(home + distance) & bucket_mask_].keys) {
      if (slot.load(kRelaxed) >> 16 == address) return true;
    }
  }
  return false;
}

uint32_t LiveSet::Take(uintptr_t address, Block* block) {
  if (capacity_ == 0) return kNoSlot;
  const uint32_t home = HomeOf(address);
  const uint32_t reach = strayed_[home].load(kRelaxed) == 0 ? 1 : kMostBuckets;
  for (uint32_t distance = 0; distance < reach; ++distance) {
    for (auto& slot : buckets_[(home + distance) & bucket_mask_].keys) {
      const uint64_t key = slot.load(kAcquire);  // pairs with the release in Publish
      if (key >> 16 != address) continue;
      const uint32_t index = static_cast<uint32_t>(key & 0xffff);
      Entry& entry = entries_[index];
      uint64_t word = entry.word.load(kAcquire);
      // Lost to a thinning: its key is about to go, and the block's next life may lie further on.
      while (IntervalOf(word) != 0 && entry.address.load(kRelaxed) == address) {
        if (!entry.word.compare_exchange_weak(word, Word(GenerationOf(word), 0), kAcquire, kAcquire)) {
          continue;
        }
        *block = {.address = address,
                  .size = entry.size.load(kRelaxed),
                  .time_ns = entry.time_ns.load(kRelaxed),
                  .stack = entry.stack.load(kRelaxed),
                  .thread = entry.thread.load(kRelaxed),
                  .interval = IntervalOf(word)};
        TakeOut(index, address);
        return index;
      }
    }
  }
  return kNoSlot;
}

void LiveSet::TakeOut(uint32_t entry, uintptr_t address) {
  Unpublish(address, entry);
  RemoveFromFilter(address);
  size_.fetch_sub(1, kRelaxed);
}

void LiveSet::Release(uint32_t slot) { GiveBackEntry(slot); }

bool LiveSet::Look(uint32_t slot, Block* block) const {
  if (slot >= capacity_) return false;
  const Entry& entry = entries_[slot];
  const uint64_t word = entry.word.load(kAcquire);
  if (IntervalOf(word) == 0) return false;
  *block = {.address = entry.address.load(kRelaxed),
            .size = entry.size.load(kRelaxed),
            .time_ns = entry.time_ns.load(kRelaxed),
            .stack = entry.stack.load(kRelaxed),
            .thread = entry.thread.load(kRelaxed),
            .interval = IntervalOf(word)};
  std::atomic_thread_fence(kAcquire);  // the fields were read before the word is read again
  return entry.word.load(kRelaxed) == word;
}

uint64_t LiveSet::SizeAt(uint32_t slot) const {
  const Entry& entry = entries_[slot];
  return IntervalOf(entry.word.load(kRelaxed)) != 0 ? entry.size.load(kRelaxed) : 0;
}

void LiveSet::Thin(uint32_t interval, Stays stays_when_doubled, Thinned thinned, void* context) {
  const uint32_t used = fresh_.load(kRelaxed);
  for (uint32_t slot = 0; slot < used; ++slot) {
    Entry& entry = entries_[slot];
    Block block;
    while (Look(slot, &block) && block.interval < interval) {
      uint64_t word = entry.word.load(kAcquire);
      if (IntervalOf(word) != block.interval || entry.address.load(kRelaxed) != block.address) break;
      const bool stays = stays_when_doubled(block, context);
      const uint32_t doubled = stays ? block.interval * 2 : 0;
      if (!entry.word.compare_exchange_strong(word, Word(GenerationOf(word), doubled), kAcquire)) {
        break;  // freed in this moment
      }
      if (!stays) TakeOut(slot, block.address);
      thinned(slot, block, doubled, context);
      if (!stays) {
        GiveBackEntry(slot);
        break;
      }
    }
  }
}

}  // namespace heapecho::live

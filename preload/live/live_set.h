// SPDX-License-Identifier: Apache-2.0
// The sampled blocks that have not been freed, by address.
//
// Promises:
//  - What Insert() took is found by the first Remove() or Take() of its address, unless Thin() took it.
//  - Exactly one caller gets each block: a free and a thinning that meet agree on who.
//  - Bounded: Insert() refuses when `capacity` blocks are in; nothing is ever displaced.
//  - Lock-free, signal-safe; a thread stopped anywhere hinders no other. A thinning is one thread's at a time.
// The application promises that a block is not freed before its address was returned to it, and once only;
// where it breaks that promise, the second free finds nothing.
//
// Memory: 48 bytes a block and 16 of index, private, mapped at Initialize(), present when first touched.
// After fork the child has the parent's set exactly (copy on write). Zero-initialised: empty, refuses.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace heapecho::live {

struct Block {
  uintptr_t address;
  uint64_t size;     // bytes requested
  uint64_t time_ns;  // CLOCK_MONOTONIC
  uint32_t stack;
  uint32_t thread;
  uint32_t interval;  // bytes; its weight is sampler::SampleWeight(size, interval)
};

inline constexpr uint32_t kNoSlot = UINT32_MAX;

class LiveSet {
 public:
  // `capacity`: a power of two, at most 2^15. False when memory could not be mapped; the set then refuses.
  bool Initialize(uint32_t capacity);

  uint32_t capacity() const { return capacity_; }
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }

  // Puts the block in and its address into the free filter. The slot it lies in, for mirroring, or kNoSlot
  // when the set is full (counted), or the address does not fit (counted).
  uint32_t Insert(const Block& block);

  // Whether a block at `address` is in: a few loads, for those that the free filter could not tell.
  bool Contains(uintptr_t address) const;

  // Takes the block at `address` out. kNoSlot if there is none. Otherwise the caller owns the slot until it
  // hands it back by Release(), after it has made its mirror forget the slot.
  uint32_t Take(uintptr_t address, Block* block);
  void Release(uint32_t slot);

  // What lies in the slot now; false if nothing does.
  bool Look(uint32_t slot, Block* block) const;
  // The size of what lies in the slot now; 0: nothing.
  uint64_t SizeAt(uint32_t slot) const;
  // Changes whenever what lies in the slot changes: for a mirror to see whether it still shows the truth.
  uint64_t Version(uint32_t slot) const { return entries_[slot].word.load(std::memory_order_acquire); }

  // Decides whether a block stays when its interval is doubled. Called once for each doubling.
  using Stays = bool (*)(const Block& block, void* context);
  // Told of each block decided on, as it was before. `interval` is the doubled one it stays with, or 0: it is
  // out, and its slot is released when the call returns.
  using Thinned = void (*)(uint32_t slot, const Block& before, uint32_t interval, void* context);

  // The right to call Thin(), one thread's at a time; false: another has it. Given back by EndThinning().
  bool TryStartThinning() { return !thinning_.exchange(true, std::memory_order_acquire); }  // EndThinning
  void EndThinning() { thinning_.store(false, std::memory_order_release); }

  // Thins every block whose interval is below `interval` until it is not, each step doubling it.
  void Thin(uint32_t interval, Stays stays_when_doubled, Thinned thinned, void* context);

  // In a forked child, before any other call: a thinning that the parent was at is not ours.
  void AfterFork() { EndThinning(); }

 private:
  // `word` is generation << 32 | interval. Interval 0 means nobody's; whoever changes an interval that is not
  // zero to zero owns the block. The generation tells a block from the next one in the same slot.
  struct Entry {
    std::atomic<uint64_t> word;
    std::atomic<uint64_t> address;
    std::atomic<uint64_t> size;
    std::atomic<uint64_t> time_ns;
    std::atomic<uint32_t> stack;
    std::atomic<uint32_t> thread;
    std::atomic<uint32_t> next_free;
    uint32_t reserved;
  };
  static_assert(sizeof(Entry) == 48);

  static constexpr uint32_t kBucketSlots = 8;  // a cache line of keys
  static constexpr uint32_t kMostBuckets = 16; // how far from home a key may lie

  struct alignas(64) Bucket {
    std::atomic<uint64_t> keys[kBucketSlots];  // address << 16 | entry; 0: empty
  };

  uint32_t HomeOf(uintptr_t address) const;
  bool Publish(uintptr_t address, uint32_t entry);
  void Unpublish(uintptr_t address, uint32_t entry);
  uint32_t TakeFreeEntry();
  void GiveBackEntry(uint32_t entry);
  void TakeOut(uint32_t entry, uintptr_t address);

  uint32_t capacity_ = 0;
  uint32_t bucket_mask_ = 0;
  Entry* entries_ = nullptr;
  Bucket* buckets_ = nullptr;
  std::atomic<uint16_t>* strayed_ = nullptr;  // per home bucket: how many of its keys lie elsewhere
  std::atomic<uint32_t> size_;
  std::atomic<uint32_t> fresh_;         // entries never used begin here
  std::atomic<uint64_t> free_list_;     // tag << 32 | entry + 1
  std::atomic<bool> thinning_;
};

}  // namespace heapecho::live

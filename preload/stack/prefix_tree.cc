// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/prefix_tree.h"

#include "preload/base/memory.h"

namespace heapecho::stack {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

uint32_t HashOf(uint32_t parent, uint64_t location) {
  uint64_t h = (location ^ (uint64_t{parent} << 32 | parent)) * 0x9e3779b97f4a7c15;
  h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9;
  return static_cast<uint32_t>(h >> 32);
}

uint32_t TableSizeFor(uint32_t capacity) {
  uint32_t slots = 1024;
  while (slots / 4 * 3 < capacity) slots *= 2;  // at most three quarters full
  return slots;
}

bool Matches(const wire::NodeRecord& node, uint32_t parent, uint64_t location) {
  return node.parent == parent && node.location_low == static_cast<uint32_t>(location) &&
         node.location_high == static_cast<uint32_t>(location >> 32);
}

uint64_t LocationOf(const wire::NodeRecord& node) {
  return uint64_t{node.location_high} << 32 | node.location_low;
}

}  // namespace

bool PrefixTree::Initialize(uint32_t capacity, Written written) {
  const uint32_t slots = TableSizeFor(capacity);
  const size_t node_bytes = base::RoundUp(capacity * sizeof(wire::NodeRecord), base::kPageSize);
  auto* memory =
      static_cast<char*>(base::MapPrivate(node_bytes + slots * sizeof(uint32_t), "heapecho stacks"));
  if (memory == nullptr) return false;
  nodes_ = reinterpret_cast<wire::NodeRecord*>(memory);
  slots_ = reinterpret_cast<std::atomic<uint32_t>*>(memory + node_bytes);
  slot_mask_ = slots - 1;
  capacity_ = capacity;
  written_ = written;
  used_.store(1, kRelaxed);  // the root
  return true;
}

uint32_t PrefixTree::Find(uint32_t parent, uint64_t location) const {
  if (capacity_ == 0) return kNoNode;
  for (uint32_t i = HashOf(parent, location);; ++i) {
    const uint32_t node = slots_[i & slot_mask_].load(std::memory_order_acquire);  // FindOrAdd
    if (node == 0) return kNoNode;
    if (Matches(nodes_[node], parent, location)) return node;
  }
}

uint32_t PrefixTree::FindOrAdd(uint32_t parent, uint64_t location) {
  if (capacity_ == 0) return kNoNode;
  uint32_t mine = 0;
  for (uint32_t i = HashOf(parent, location);; ++i) {
    std::atomic<uint32_t>& slot = slots_[i & slot_mask_];
    uint32_t node = slot.load(std::memory_order_acquire);
    if (node == 0) {
      if (mine == 0) {
        mine = Reserve();
        if (mine == kNoNode) return kNoNode;
        // A thread that is about to lose this node in Reserve() may still look at its link.
        __atomic_store_n(&nodes_[mine].location_low, static_cast<uint32_t>(location), __ATOMIC_RELAXED);
        nodes_[mine].location_high = static_cast<uint32_t>(location >> 32);
        nodes_[mine].parent = parent;
        written_(mine);
      }
      if (slot.compare_exchange_strong(node, mine, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        return mine;
      }
    }
    if (Matches(nodes_[node], parent, location)) {
      if (mine != 0) GiveBack(mine);  // another thread was first
      return node;
    }
  }
}

uint32_t PrefixTree::Reserve() {
  uint64_t head = free_list_.load(std::memory_order_acquire);  // pairs with GiveBack's release
  while (static_cast<uint32_t>(head) != 0) {
    const uint32_t node = static_cast<uint32_t>(head);
    const uint64_t next =
        (head & ~uint64_t{UINT32_MAX}) |
        __atomic_load_n(&nodes_[node].location_low, __ATOMIC_RELAXED);
    if (free_list_.compare_exchange_weak(head, next, std::memory_order_acquire)) {
      freed_count_.fetch_sub(1, kRelaxed);
      return node;
    }
  }
  uint32_t fresh = used_.load(kRelaxed);
  while (fresh < capacity_) {
    if (used_.compare_exchange_weak(fresh, fresh + 1, kRelaxed)) return fresh;
  }
  return kNoNode;
}

void PrefixTree::GiveBack(uint32_t node) {
  nodes_[node].parent = kFreeMark;
  freed_count_.fetch_add(1, kRelaxed);
  uint64_t head = free_list_.load(kRelaxed);
  for (;;) {
    __atomic_store_n(&nodes_[node].location_low, static_cast<uint32_t>(head), __ATOMIC_RELAXED);
    const uint64_t tag = (head >> 32) + 1;
    if (free_list_.compare_exchange_weak(head, tag << 32 | node, std::memory_order_release, kRelaxed)) {
      return;
    }
  }
}

void PrefixTree::Free(uint32_t node) { GiveBack(node); }

void PrefixTree::Rebuild() {
  for (uint32_t i = 0; i <= slot_mask_; ++i) slots_[i].store(0, kRelaxed);
  const uint32_t used = used_.load(kRelaxed);
  for (uint32_t node = 1; node < used; ++node) {
    if (IsFree(node)) continue;
    uint32_t i = HashOf(nodes_[node].parent, LocationOf(nodes_[node]));
    while (slots_[i & slot_mask_].load(kRelaxed) != 0) ++i;
    slots_[i & slot_mask_].store(node, kRelaxed);
  }
}

}  // namespace heapecho::stack

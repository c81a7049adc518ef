// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/intern.h"

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/stack/modules.h"

namespace heapecho::stack {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint64_t kSecond = 1000000000;
constexpr uint8_t kFreeDomain = 0xff;  // a stack that is nobody's

uint64_t HashFrames(const NativeFrame* frames, uint32_t count, uint64_t seed) {
  uint64_t h = seed;
  for (uint32_t i = 0; i < count; ++i) h = (h ^ frames[i].ip) * 0x9e3779b97f4a7c15 + (h >> 29);
  h = (h ^ (h >> 32)) * 0xbf58476d1ce4e5b9;
  return h ^ (h >> 29);
}

uint32_t HashKey(uint32_t leaf, uint32_t rest) {
  const uint64_t h = (uint64_t{leaf} << 24 ^ rest) * 0x9e3779b97f4a7c15;
  return static_cast<uint32_t>(h >> 32);
}

}  // namespace

bool Interner::Initialize(uint32_t stacks, uint32_t nodes, InternSink sink) {
  if (stacks > UINT16_MAX) stacks = UINT16_MAX;  // an id has 16 bits in the cache
  uint32_t slots = 1024;
  while (slots < stacks * 2) slots *= 2;
  const uint32_t cached = slots / 2;
  const size_t stack_bytes = base::RoundUp(stacks * sizeof(StackTotals), base::kPageSize);
  const size_t index_bytes = slots * sizeof(uint32_t);
  auto* memory = static_cast<char*>(base::MapPrivate(
      stack_bytes + index_bytes + cached * sizeof(uint64_t), "heapecho stack totals"));
  if (memory == nullptr || !nodes_.Initialize(nodes, sink.node_written)) return false;
  stacks_ = reinterpret_cast<StackTotals*>(memory);
  index_ = reinterpret_cast<std::atomic<uint32_t>*>(memory + stack_bytes);
  cache_ = reinterpret_cast<std::atomic<uint64_t>*>(memory + stack_bytes + index_bytes);
  index_mask_ = slots - 1;
  cache_mask_ = cached - 1;
  sink_ = sink;
  capacity_ = stacks;
  used_.store(1, kRelaxed);  // the unknown stack
  return true;
}

// Use and FoldIfFull agree as in Dekker's algorithm: each writes its own word, then reads the other's, all
// sequentially consistent, so that at least one of two that meet sees the other.
Interner::Use::Use(Interner& interner) : interner_(interner) {
  interner_.inside_.fetch_add(1, std::memory_order_seq_cst);
  folding_ = interner_.folding_.load(std::memory_order_seq_cst);
}

Interner::Use::~Use() { interner_.inside_.fetch_sub(1, std::memory_order_release); }

uint32_t Interner::Intern(const Use& use, const NativeFrame* frames, const NativeWalk& walk,
                          wire::Domain domain, uint64_t now_ns) {
  if (use.folding() || capacity_ == 0) {
    HEAPECHO_COUNT(stack_unknown);
    return wire::kUnknownStack;
  }
  Key key = {.leaf = 0,
             .flags = static_cast<uint16_t>((walk.truncated ? wire::kStackTruncated : 0) |
                                            (walk.broken ? wire::kStackBroken : 0)),
             .domain = static_cast<uint8_t>(domain)};
  // When modules come or go an address may mean another frame, so what was cached by address is void.
  const uint64_t seed = ModuleGeneration() << 32 | uint32_t{key.flags} << 8 | key.domain;
  const uint64_t hash = HashFrames(frames, walk.count, seed);
  std::atomic<uint64_t>& cached = cache_[(hash >> 16) & cache_mask_];
  const uint64_t known = cached.load(std::memory_order_acquire);
  if (((known ^ hash) >> 16) == 0 && (known & 0xffff) != 0) return known & 0xffff;

  bool cut = false;
  for (uint32_t i = walk.count; i-- > 0;) {
    const uint64_t location = stack::LocationOf(frames[i].ip);
    const uint32_t node = nodes_.FindOrAdd(key.leaf, location);
    if (node == kNoNode) {
      cut = true;
      break;
    }
    key.leaf = node;
  }
  if (cut) key.flags |= wire::kStackTruncated;
  uint32_t stack = FindOrAddStack(key, now_ns);
  if (stack == wire::kUnknownStack) {
    // No id left: the innermost caller that has one, however it was captured.
    cut = true;
    key.flags |= wire::kStackTruncated;
    for (; stack == wire::kUnknownStack; key.leaf = nodes_.ParentOf(key.leaf)) {
      stack = FindStack(key);
      if (key.leaf == 0) break;
    }
  }
  if (stack == wire::kUnknownStack) {
    HEAPECHO_COUNT(stack_unknown);
  } else if (cut) {
    HEAPECHO_COUNT(stack_cut);
  } else {
    cached.store((hash & ~uint64_t{0xffff}) | stack, std::memory_order_release);
  }
  return stack;
}

bool Interner::Matches(uint32_t stack, const Key& key) const {
  const StackTotals& totals = stacks_[stack];
  return totals.native_leaf.load(kRelaxed) == key.leaf && totals.flags.load(kRelaxed) == key.flags &&
         totals.domain.load(kRelaxed) == key.domain;
}

uint32_t Interner::FindStack(const Key& key) const {
  for (uint32_t i = HashKey(key.leaf, uint32_t{key.flags} << 8 | key.domain);; ++i) {
    const uint32_t stack = index_[i & index_mask_].load(std::memory_order_acquire);
    if (stack == 0 || Matches(stack, key)) return stack;
  }
}

uint32_t Interner::FindOrAddStack(const Key& key, uint64_t now_ns) {
  uint32_t mine = wire::kUnknownStack;
  for (uint32_t i = HashKey(key.leaf, uint32_t{key.flags} << 8 | key.domain);; ++i) {
    std::atomic<uint32_t>& slot = index_[i & index_mask_];
    uint32_t stack = slot.load(std::memory_order_acquire);  // pairs with the exchange below
    if (stack == 0) {
      if (mine == wire::kUnknownStack) {
        mine = ReserveStack();
        if (mine == wire::kUnknownStack) return mine;
        StackTotals& totals = stacks_[mine];
        totals.native_leaf.store(key.leaf, kRelaxed);
        totals.flags.store(key.flags, kRelaxed);
        totals.domain.store(key.domain, kRelaxed);
        totals.first_seen_ns.store(now_ns, kRelaxed);
        totals.peak_mark.store(0, kRelaxed);
      }
      if (slot.compare_exchange_strong(stack, mine, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        sink_.stack_written(mine);
        return mine;
      }
    }
    if (Matches(stack, key)) {
      if (mine != wire::kUnknownStack) {  // another thread was first
        stacks_[mine].domain.store(kFreeDomain, kRelaxed);  // found again by RebuildStackIndex
      }
      return stack;
    }
  }
}

uint32_t Interner::ReserveStack() {
  uint64_t head = free_list_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(head) != 0) {
    const uint32_t stack = static_cast<uint32_t>(head);
    // Only RebuildStackIndex pushes, alone; so a head that is popped does not come back while we look.
    const uint64_t next = stacks_[stack].native_leaf.load(kRelaxed);
    if (free_list_.compare_exchange_weak(head, next, std::memory_order_acquire)) return stack;
  }
  uint32_t fresh = used_.load(kRelaxed);
  while (fresh < capacity_) {
    if (used_.compare_exchange_weak(fresh, fresh + 1, kRelaxed)) return fresh;
  }
  return wire::kUnknownStack;
}

void Interner::FoldIfFull(const Use& use, const ProcessTotals& process, uint64_t now_ns) {
  if (use.folding() || capacity_ == 0) return;
  const bool stacks_short = used() == capacity_ && static_cast<uint32_t>(free_list_.load(kRelaxed)) == 0;
  const bool nodes_short = nodes_.free_nodes() < wire::kMaxNativeFrames;
  if (!stacks_short && !nodes_short) return;
  const uint64_t last = folded_ns_.load(kRelaxed);
  if (last != 0 && now_ns - last < kSecond) return;
  if (folding_.exchange(true, std::memory_order_seq_cst)) return;
  if (inside_.load(std::memory_order_seq_cst) == 1) {
    Fold(process, now_ns);
    folded_ns_.store(now_ns, kRelaxed);
  }
  folding_.store(false, std::memory_order_seq_cst);
}

// The second of last use up to which stacks are folded: about half of those that hold nothing.
uint32_t Interner::FoldCutoff() const {
  const uint32_t used = this->used();
  uint32_t candidates = 0, low = 0, high = 0;
  const auto holds_nothing = [this](uint32_t stack) {
    return stacks_[stack].domain.load(kRelaxed) != kFreeDomain &&
           stacks_[stack].live_objects.load(kRelaxed) == 0;
  };
  for (uint32_t stack = 1; stack < used; ++stack) {
    if (!holds_nothing(stack)) continue;
    ++candidates;
    const uint32_t second = stacks_[stack].last_used_s.load(kRelaxed);
    if (second > high) high = second;
  }
  while (low < high) {  // the median by bisection
    const uint32_t middle = low + (high - low) / 2;
    uint32_t below = 0;
    for (uint32_t stack = 1; stack < used; ++stack) {
      below += holds_nothing(stack) && stacks_[stack].last_used_s.load(kRelaxed) <= middle;
    }
    if (below * 2 >= candidates) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

void Interner::Fold(const ProcessTotals& process, uint64_t now_ns) {
  const size_t reference_bytes = nodes_.capacity() * sizeof(uint32_t);
  auto* references = static_cast<uint32_t*>(base::MapPrivate(reference_bytes, "heapecho fold"));
  if (references == nullptr) return;
  // How many nodes and stacks stand on each node: what stands under a stack alone goes with it.
  for (uint32_t node = 1; node < nodes_.used(); ++node) {
    if (!nodes_.IsFree(node)) ++references[nodes_.ParentOf(node)];
  }
  const uint32_t used = this->used();
  for (uint32_t stack = 1; stack < used; ++stack) {
    if (stacks_[stack].domain.load(kRelaxed) != kFreeDomain) {
      ++references[stacks_[stack].native_leaf.load(kRelaxed)];
    }
  }
  const uint32_t cutoff = FoldCutoff();
  for (uint32_t stack = 1; stack < used; ++stack) {
    StackTotals& totals = stacks_[stack];
    if (totals.domain.load(kRelaxed) == kFreeDomain || totals.live_objects.load(kRelaxed) != 0 ||
        totals.last_used_s.load(kRelaxed) > cutoff) {
      continue;
    }
    uint32_t node = totals.native_leaf.load(kRelaxed);
    if (node == 0) continue;
    --references[node];
    do {  // at least the innermost frame
      const uint32_t parent = nodes_.ParentOf(node);
      if (references[node] == 0) {
        --references[parent];
        nodes_.Free(node);
      }
      node = parent;
    } while (node != 0 && references[node] == 0);
    const Key key = {.leaf = node,
                     .flags = static_cast<uint16_t>(totals.flags.load(kRelaxed) | wire::kStackTruncated),
                     .domain = totals.domain.load(kRelaxed)};
    const uint32_t into = FindStack(key);
    HEAPECHO_COUNT(stacks_folded);
    if (into == 0) {  // nothing ends there yet: this one does from now on
      totals.native_leaf.store(node, kRelaxed);
      totals.flags.store(key.flags, kRelaxed);
      ++references[node];
      uint32_t i = HashKey(key.leaf, uint32_t{key.flags} << 8 | key.domain);
      while (index_[i & index_mask_].load(kRelaxed) != 0) ++i;
      index_[i & index_mask_].store(stack, kRelaxed);
    } else {
      stack::Fold(process, totals, stacks_[into]);
      totals.domain.store(kFreeDomain, kRelaxed);
      totals.native_leaf.store(0, kRelaxed);
      totals.first_seen_ns.store(now_ns, kRelaxed);
      sink_.stack_written(into);
    }
    sink_.stack_written(stack);
  }
  base::Unmap(references, reference_bytes);
  nodes_.Rebuild();
  RebuildStackIndex();
  for (uint32_t i = 0; i <= cache_mask_; ++i) cache_[i].store(0, kRelaxed);
}

void Interner::RebuildStackIndex() {
  for (uint32_t i = 0; i <= index_mask_; ++i) index_[i].store(0, kRelaxed);
  uint32_t free = 0;
  for (uint32_t stack = used(); stack-- > 1;) {
    StackTotals& totals = stacks_[stack];
    if (totals.domain.load(kRelaxed) == kFreeDomain) {
      totals.native_leaf.store(free, kRelaxed);
      free = stack;
      continue;
    }
    uint32_t i = HashKey(totals.native_leaf.load(kRelaxed),
                         uint32_t{totals.flags.load(kRelaxed)} << 8 | totals.domain.load(kRelaxed));
    while (index_[i & index_mask_].load(kRelaxed) != 0) ++i;
    index_[i & index_mask_].store(stack, kRelaxed);
  }
  free_list_.store(free, kRelaxed);
}

void Interner::AfterFork() {
  inside_.store(0, kRelaxed);
  folding_.store(false, kRelaxed);
}

}  // namespace heapecho::stack

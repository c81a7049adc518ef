// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/intern.h"

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/stack/modules.h"

namespace heapecho::stack {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint64_t kSecond = 1000000000;
constexpr uint8_t kFreeDomain = wire::kNoDomain;  // a stack that is nobody's

uint64_t HashFrames(const NativeFrame* frames, uint32_t count, uint64_t seed) {
  uint64_t h = seed;
  for (uint32_t i = 0; i < count; ++i) h = (h ^ frames[i].ip) * 0x9e3779b97f4a7c15 + (h >> 29);
  h = (h ^ (h >> 32)) * 0xbf58476d1ce4e5b9;
  return h ^ (h >> 29);
}

uint64_t HashFrames(const PythonFrame* frames, uint32_t count, uint64_t seed) {
  uint64_t h = seed;
  for (uint32_t i = 0; i < count; ++i) {
    h = (h ^ frames[i].key ^ uint64_t{frames[i].instruction} << 32) * 0x9e3779b97f4a7c15 + (h >> 29);
  }
  h = (h ^ (h >> 32)) * 0xbf58476d1ce4e5b9;
  return h ^ (h >> 29);
}

constexpr bool Evaluates(const wire::NodeRecord& native) {
  return (native.location_high & wire::kEvaluationFrame >> 32) != 0;
}

constexpr bool IsGroupEntry(const wire::NodeRecord& python) {
  return (python.location_high & wire::kGroupEntry) != 0;
}

// A range of which a part was unmapped may have bytes and no object left, one that has no pages the other way round.
bool HoldsNothing(const StackTotals& totals) {
  return totals.domain.load(kRelaxed) != kFreeDomain && totals.live_objects.load(kRelaxed) == 0 &&
         totals.live_bytes.load(kRelaxed) == 0;
}

}  // namespace

bool Interner::Initialize(uint32_t stacks, uint32_t native_nodes, uint32_t python_nodes, InternSink sink) {
  if (stacks > UINT16_MAX) stacks = UINT16_MAX;  // an id has 16 bits in the cache
  uint32_t slots = 1024;
  while (slots < stacks * 2) slots *= 2;
  const uint32_t cached = slots / 2;
  const size_t stack_bytes = base::RoundUp(stacks * sizeof(StackTotals), base::kPageSize);
  const size_t index_bytes = slots * sizeof(uint32_t);
  auto* memory = static_cast<char*>(base::MapPrivate(
      stack_bytes + index_bytes + cached * sizeof(uint64_t), "heapecho stack totals"));
  if (memory == nullptr || !native_.Initialize(native_nodes, sink.native_node_written) ||
      !python_.Initialize(python_nodes, sink.python_node_written)) {
    return false;
  }
  stacks_ = reinterpret_cast<StackTotals*>(memory);
  index_ = reinterpret_cast<std::atomic<uint32_t>*>(memory + stack_bytes);
  cache_ = reinterpret_cast<std::atomic<uint64_t>*>(memory + stack_bytes + index_bytes);
  index_mask_ = slots - 1;
  cache_mask_ = cached - 1;
  sink_ = sink;
  capacity_ = stacks;
  used_.store(1, kRelaxed);  // malloc's stack without frames
  // What a domain has no stack for stays its own, so those of the others come before there can be too many.
  for (size_t domain = 0; domain < wire::kDomains; ++domain) {
    unknown_[domain].store(wire::kUnknownStack, kRelaxed);
    if (domain == static_cast<size_t>(wire::Domain::kMalloc)) continue;
    unknown_[domain].store(FindOrAddStack({.native_leaf = 0,
                                           .python_leaf = 0,
                                           .behalf_leaf = 0,
                                           .flags = wire::kStackCut,
                                           .domain = static_cast<uint8_t>(domain)},
                                          0),
                           kRelaxed);
  }
  return true;
}

// Use and FoldIfFull agree as in Dekker's algorithm: each writes its own word, then reads the other's, all
// sequentially consistent, so that at least one of two that meet sees the other.
Interner::Use::Use(Interner& interner) : interner_(interner) {
  interner_.inside_.fetch_add(1, std::memory_order_seq_cst);
  folding_ = interner_.folding_.load(std::memory_order_seq_cst);
}

Interner::Use::~Use() { interner_.inside_.fetch_sub(1, std::memory_order_release); }

uint32_t Interner::Intern(const Use& use, const CapturedStack& captured, wire::Domain domain,
                          uint64_t now_ns) {
  if (use.folding() || capacity_ == 0) {
    HEAPECHO_COUNT(stack_unknown);
    return unknown_[static_cast<size_t>(domain)].load(kRelaxed);
  }
  const bool truncated = captured.native_walk.truncated || captured.python_walk.truncated;
  Key key = {.native_leaf = 0,
             .python_leaf = 0,
             .behalf_leaf = captured.behalf_leaf,
             .flags = static_cast<uint16_t>((truncated ? wire::kStackTruncated : 0) |
                                            (captured.native_walk.broken ? wire::kStackBroken : 0)),
             .domain = static_cast<uint8_t>(domain)};
  // When modules come or go an address may mean another frame, so what was cached by address is void.
  const uint64_t seed = (ModuleGeneration() << 32 | uint32_t{key.flags} << 8 | key.domain) ^
                        key.behalf_leaf * 0xff51afd7ed558ccd;
  const uint64_t hash = HashFrames(captured.python, captured.python_walk.count,
                                   HashFrames(captured.native, captured.native_walk.count, seed));
  std::atomic<uint64_t>& cached = cache_[(hash >> 16) & cache_mask_];
  const uint64_t known = cached.load(std::memory_order_acquire);
  if (((known ^ hash) >> 16) == 0 && (known & 0xffff) != 0) return known & 0xffff;

  bool cut = !Insert(captured, &key);
  if (cut) key.flags |= wire::kStackCut;
  uint32_t stack = FindOrAddStack(key, now_ns);
  if (stack == wire::kUnknownStack) {
    // No id left: the innermost caller that has one, however it was captured.
    cut = true;
    key.flags |= wire::kStackCut;
    for (; stack == wire::kUnknownStack; CutInnermost(&key)) {
      stack = FindStack(key);
      if (key.IsEmpty()) break;
    }
  }
  if (stack == wire::kUnknownStack) {
    HEAPECHO_COUNT(stack_unknown);
    stack = unknown_[static_cast<size_t>(domain)].load(kRelaxed);
  } else if (cut) {
    HEAPECHO_COUNT(stack_cut);
  } else {
    cached.store((hash & ~uint64_t{0xffff}) | stack, std::memory_order_release);
  }
  return stack;
}

uint32_t Interner::PythonNode(const CapturedStack& captured, uint32_t frame, uint32_t parent) {
  const PythonFrame& python = captured.python[frame];
  const uint32_t depth = captured.python_walk.count - 1 - frame;
  const uint64_t number = python.key + python.instruction * 0x9e3779b97f4a7c15;
  uint32_t node = captured.path != nullptr ? captured.path->python.Find(depth, number) : 0;
  if (node != 0) return node;
  const uint32_t code = captured.code_id(python);
  // An instruction of code that is not known says nothing.
  const uint32_t instruction = python.instruction | (code == 0 ? wire::kNoInstruction : 0);
  node = python_.FindOrAdd(parent, uint64_t{instruction} << 32 | code);
  if (captured.path != nullptr && node != kNoNode) captured.path->python.Append(depth, number, node);
  return node;
}

uint32_t Interner::NativeNode(const CapturedStack& captured, uint32_t frame, uint32_t parent) {
  const uintptr_t ip = captured.native[frame].ip;
  const uint32_t depth = captured.native_walk.count - 1 - frame;
  uint32_t node = captured.path != nullptr ? captured.path->native.Find(depth, ip) : 0;
  if (node != 0) return node;
  node = native_.FindOrAdd(parent, stack::LocationOf(ip & ~wire::kEvaluationFrame) | (ip & wire::kEvaluationFrame));
  if (captured.path != nullptr && node != kNoNode) captured.path->native.Append(depth, ip, node);
  return node;
}

// Brings the frames into the trees, from the outermost on. False when a tree was full: the leaves are then those of the
// frames that are left when the innermost ones are cut off until both fit.
bool Interner::Insert(const CapturedStack& captured, Key* key) {
  const NativeFrame* const native = captured.native;
  const PythonFrame* const python = captured.python;
  if (captured.path != nullptr) captured.path->BeginAt(ModuleGeneration() << 32 | folds_.load(kRelaxed));
  uint32_t python_left_off = captured.python_walk.count;
  while (python_left_off > 0) {
    const uint32_t node = PythonNode(captured, python_left_off - 1, key->python_leaf);
    if (node == kNoNode) break;
    key->python_leaf = node;
    --python_left_off;
  }
  // With a Python frame go the native ones inside of it, and the one that evaluated it if it was the last there.
  uint32_t native_left_off = 0;
  for (uint32_t i = 0, k = 0; k < python_left_off; ++i) {
    if (i == captured.native_walk.count) {
      native_left_off = i;
      break;
    }
    if ((native[i].ip & wire::kEvaluationFrame) == 0) continue;
    while (k < python_left_off && (python[k].instruction & wire::kGroupEntry) == 0) ++k;
    native_left_off = i;
    if (k < python_left_off) {
      ++k;
      native_left_off = i + 1;
    }
  }
  uint32_t i = captured.native_walk.count;
  for (; i > native_left_off; --i) {
    const uint32_t node = NativeNode(captured, i - 1, key->native_leaf);
    if (node == kNoNode) break;
    key->native_leaf = node;
  }
  // And with a native frame that evaluated Python code go its Python frames.
  for (uint32_t cut = native_left_off; cut < i; ++cut) {
    if ((native[cut].ip & wire::kEvaluationFrame) == 0) continue;
    for (bool entry = false; !entry && key->python_leaf != 0;) {
      entry = IsGroupEntry(python_.Record(key->python_leaf));
      key->python_leaf = python_.ParentOf(key->python_leaf);
    }
  }
  return python_left_off == 0 && i == 0;
}

uint32_t Interner::InternPython(const Use& use, const PythonFrame* frames, uint32_t count,
                                uint32_t (*code_id)(const PythonFrame& frame)) {
  constexpr uint64_t kNodeMask = (uint64_t{1} << 24) - 1;
  if (use.folding() || capacity_ == 0 || count == 0) return 0;
  const uint64_t hash = HashFrames(frames, count, count);
  std::atomic<uint64_t>& cached = python_cache_[hash >> 32 & (kPythonCached - 1)];
  const uint64_t known = cached.load(std::memory_order_acquire);
  if (((known ^ hash) & ~kNodeMask) == 0 && (known & kNodeMask) != 0) {
    return static_cast<uint32_t>(known & kNodeMask);
  }
  uint32_t leaf = 0;
  for (uint32_t i = count; i > 0; --i) {
    const uint32_t code = code_id(frames[i - 1]);
    const uint32_t instruction = (frames[i - 1].instruction & ~wire::kGroupEntry) | (code == 0 ? wire::kNoInstruction : 0);
    const uint32_t node = python_.FindOrAdd(leaf, uint64_t{instruction} << 32 | code);
    if (node == kNoNode) return 0;
    leaf = node;
  }
  if (leaf <= kNodeMask) cached.store((hash & ~kNodeMask) | leaf, std::memory_order_release);
  return leaf;
}

// Takes the innermost frame off, as both kinds interleave; of the stack on whose behalf it ran, when nothing else is left.
void Interner::CutInnermost(Key* key) const {
  if (key->native_leaf == 0 && key->python_leaf == 0) {
    if (key->behalf_leaf != 0) key->behalf_leaf = python_.ParentOf(key->behalf_leaf);
    return;
  }
  bool native = key->native_leaf != 0 && !Evaluates(native_.Record(key->native_leaf));
  if (!native && key->python_leaf != 0) {
    native = IsGroupEntry(python_.Record(key->python_leaf));
    key->python_leaf = python_.ParentOf(key->python_leaf);
    native = native || key->python_leaf == 0;
  } else {
    native = true;
  }
  if (native && key->native_leaf != 0) key->native_leaf = native_.ParentOf(key->native_leaf);
}

uint32_t Interner::HashOf(const Key& key) {
  uint64_t h = (uint64_t{key.native_leaf} << 32 | key.python_leaf) * 0x9e3779b97f4a7c15;
  h ^= key.behalf_leaf * uint64_t{0xff51afd7ed558ccd};
  h = (h ^ h >> 29 ^ uint64_t{key.flags} << 8 ^ key.domain) * 0xbf58476d1ce4e5b9;
  return static_cast<uint32_t>(h >> 32);
}

Interner::Key Interner::KeyOf(uint32_t stack) const {
  const StackTotals& totals = stacks_[stack];
  return {.native_leaf = totals.native_leaf.load(kRelaxed),
          .python_leaf = totals.python_leaf.load(kRelaxed),
          .behalf_leaf = totals.behalf_leaf.load(kRelaxed),
          .flags = totals.flags.load(kRelaxed),
          .domain = totals.domain.load(kRelaxed)};
}

bool Interner::Matches(uint32_t stack, const Key& key) const {
  const Key other = KeyOf(stack);
  return other.native_leaf == key.native_leaf && other.python_leaf == key.python_leaf &&
         other.behalf_leaf == key.behalf_leaf && other.flags == key.flags && other.domain == key.domain;
}

uint32_t Interner::FindStack(const Key& key) const {
  for (uint32_t i = HashOf(key);; ++i) {
    const uint32_t stack = index_[i & index_mask_].load(std::memory_order_acquire);
    if (stack == 0 || Matches(stack, key)) return stack;
  }
}

uint32_t Interner::FindOrAddStack(const Key& key, uint64_t now_ns) {
  uint32_t mine = wire::kUnknownStack;
  for (uint32_t i = HashOf(key);; ++i) {
    std::atomic<uint32_t>& slot = index_[i & index_mask_];
    uint32_t stack = slot.load(std::memory_order_acquire);  // pairs with the exchange below
    if (stack == 0) {
      if (mine == wire::kUnknownStack) {
        mine = ReserveStack();
        if (mine == wire::kUnknownStack) return mine;
        StackTotals& totals = stacks_[mine];
        totals.native_leaf.store(key.native_leaf, kRelaxed);
        totals.python_leaf.store(key.python_leaf, kRelaxed);
        totals.behalf_leaf.store(key.behalf_leaf, kRelaxed);
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
  const bool nodes_short = native_.free_nodes() < wire::kMaxNativeFrames ||
                           python_.free_nodes() < kMaxPythonFrames;
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
    return HoldsNothing(stacks_[stack]);
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

// How many nodes and stacks stand on each node: what stands under a stack alone goes with it.
struct Interner::References {
  uint32_t* native;
  uint32_t* python;

  // Frees what nobody stands on any more, from `node` on up to and without `end`.
  static void FreeUnused(uint32_t node, uint32_t end, PrefixTree& tree, uint32_t* references) {
    while (node != end && references[node] == 0) {
      const uint32_t parent = tree.ParentOf(node);
      tree.Free(node);
      --references[parent];
      node = parent;
    }
  }
  static void Count(const PrefixTree& tree, uint32_t* references) {
    for (uint32_t node = 1; node < tree.used(); ++node) {
      if (!tree.IsFree(node)) ++references[tree.ParentOf(node)];
    }
  }
  // Nodes of stacks that got no id.
  static void Sweep(PrefixTree& tree, uint32_t* references) {
    for (uint32_t node = 1; node < tree.used(); ++node) {
      if (!tree.IsFree(node)) FreeUnused(node, 0, tree, references);
    }
  }
};

void Interner::Fold(const ProcessTotals& process, uint64_t now_ns) {
  const size_t reference_bytes = (size_t{native_.capacity()} + python_.capacity()) * sizeof(uint32_t);
  auto* const memory = static_cast<uint32_t*>(base::MapPrivate(reference_bytes, "heapecho fold"));
  if (memory == nullptr) return;
  References references = {.native = memory, .python = memory + native_.capacity()};
  References::Count(native_, references.native);
  References::Count(python_, references.python);
  const uint32_t used = this->used();
  for (uint32_t stack = 1; stack < used; ++stack) {
    if (stacks_[stack].domain.load(kRelaxed) == kFreeDomain) continue;
    ++references.native[stacks_[stack].native_leaf.load(kRelaxed)];
    ++references.python[stacks_[stack].python_leaf.load(kRelaxed)];
    ++references.python[stacks_[stack].behalf_leaf.load(kRelaxed)];
  }
  if (sink_.count_held != nullptr) sink_.count_held(references.python);
  const uint32_t cutoff = FoldCutoff();
  for (uint32_t stack = 1; stack < used; ++stack) {
    const StackTotals& totals = stacks_[stack];
    if (HoldsNothing(totals) && totals.last_used_s.load(kRelaxed) <= cutoff) {
      FoldOne(stack, process, references, now_ns);
    }
  }
  References::Sweep(native_, references.native);
  References::Sweep(python_, references.python);
  base::Unmap(memory, reference_bytes);
  native_.Rebuild();
  python_.Rebuild();
  folds_.fetch_add(1, kRelaxed);
  RebuildStackIndex();
  for (uint32_t i = 0; i <= cache_mask_; ++i) cache_[i].store(0, kRelaxed);
  for (std::atomic<uint64_t>& cached : python_cache_) cached.store(0, kRelaxed);
  crowded_.store(IsCrowded(), kRelaxed);
}

bool Interner::IsCrowded() const {
  constexpr uint32_t kPart = 8;
  uint32_t room = capacity_ - used(), foldable = 0;
  for (uint32_t stack = 1; stack < used(); ++stack) {
    if (stacks_[stack].domain.load(kRelaxed) == kFreeDomain) ++room;
    foldable += HoldsNothing(stacks_[stack]) && !KeyOf(stack).IsEmpty();
  }
  const bool short_of_room = room < capacity_ / kPart || native_.free_nodes() < native_.capacity() / kPart ||
                             python_.free_nodes() < python_.capacity() / kPart;
  return short_of_room && foldable < used() / kPart;
}

bool Interner::TakeCrowded() {
  if (!crowded_.load(kRelaxed) || !crowded_.exchange(false, kRelaxed)) return false;
  folded_ns_.store(0, kRelaxed);
  return true;
}

void Interner::FoldOne(uint32_t stack, const ProcessTotals& process, References& references, uint64_t now_ns) {
  StackTotals& totals = stacks_[stack];
  const Key before = KeyOf(stack);
  if (before.IsEmpty()) return;
  --references.native[before.native_leaf];
  --references.python[before.python_leaf];
  --references.python[before.behalf_leaf];
  Key key = before;
  key.flags |= wire::kStackCut;
  const auto shared = [](uint32_t leaf, const uint32_t* counts) { return leaf == 0 || counts[leaf] != 0; };
  do {  // at least the innermost frame
    const Key inner = key;
    CutInnermost(&key);
    References::FreeUnused(inner.native_leaf, key.native_leaf, native_, references.native);
    References::FreeUnused(inner.python_leaf, key.python_leaf, python_, references.python);
    References::FreeUnused(inner.behalf_leaf, key.behalf_leaf, python_, references.python);
  } while (!key.IsEmpty() &&
           !(shared(key.native_leaf, references.native) && shared(key.python_leaf, references.python) &&
             shared(key.behalf_leaf, references.python)));

  const uint32_t into = FindStack(key);
  HEAPECHO_COUNT(stacks_folded);
  if (into == 0) {  // nothing ends there yet: this one does from now on
    totals.native_leaf.store(key.native_leaf, kRelaxed);
    totals.python_leaf.store(key.python_leaf, kRelaxed);
    totals.behalf_leaf.store(key.behalf_leaf, kRelaxed);
    totals.flags.store(key.flags, kRelaxed);
    ++references.native[key.native_leaf];
    ++references.python[key.python_leaf];
    ++references.python[key.behalf_leaf];
    uint32_t i = HashOf(key);
    while (index_[i & index_mask_].load(kRelaxed) != 0) ++i;
    index_[i & index_mask_].store(stack, kRelaxed);
  } else {
    stack::Fold(process, totals, stacks_[into]);
    totals.domain.store(kFreeDomain, kRelaxed);
    totals.native_leaf.store(0, kRelaxed);
    totals.python_leaf.store(0, kRelaxed);
    totals.behalf_leaf.store(0, kRelaxed);
    totals.first_seen_ns.store(now_ns, kRelaxed);
    sink_.stack_written(into);
  }
  sink_.stack_written(stack);
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
    uint32_t i = HashOf(KeyOf(stack));
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

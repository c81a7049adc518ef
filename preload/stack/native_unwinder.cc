// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/native_unwinder.h"

#include <atomic>

#include "preload/base/counters.h"
#include "preload/stack/cfi.h"
#include "preload/stack/libunwind_step.h"
#include "preload/stack/modules.h"
#include "preload/stack/object_finder.h"
#include "preload/stack/stack_reader.h"

namespace heapecho::stack {
namespace {

// From address to compact row, for the whole process. An entry is two words without any order
// between them: the row, and the row combined with a mixture of address and generation. Halves of
// two entries therefore never match an address, and no lock, no sequence and no clearing is needed:
// a new generation matches none of the old entries.
class RowCache {
 public:
  static uint64_t Mixture(uintptr_t ip, uint64_t generation) {
    return (ip + generation * 0xd6e8feb86659fd93) * 0x9e3779b97f4a7c15;
  }

  CompactRow Find(uint64_t mixture) const {
    const Entry* const pair = &entries_[IndexOf(mixture)];
    for (size_t way = 0; way < 2; ++way) {
      const uint64_t row = pair[way].row.load(std::memory_order_relaxed);
      const uint64_t check = pair[way].check.load(std::memory_order_relaxed);
      if ((row ^ check) == mixture) return CompactRow(row);
    }
    return {};
  }

  // The younger of two stays in front.
  void Insert(uint64_t mixture, CompactRow row) {
    Entry* const pair = &entries_[IndexOf(mixture)];
    pair[1].row.store(pair[0].row.load(std::memory_order_relaxed), std::memory_order_relaxed);
    pair[1].check.store(pair[0].check.load(std::memory_order_relaxed), std::memory_order_relaxed);
    pair[0].row.store(row.word(), std::memory_order_relaxed);
    pair[0].check.store(row.word() ^ mixture, std::memory_order_relaxed);
  }

 private:
  struct Entry {
    std::atomic<uint64_t> row;
    std::atomic<uint64_t> check;
  };
  static constexpr unsigned kPairBits = 14;

  static size_t IndexOf(uint64_t mixture) { return (mixture >> (64 - kPairBits)) * 2; }

  alignas(64)
      Entry entries_[size_t{2} << kPairBits];  // zero: matches only a mixture of zero, with no row
};

constinit RowCache g_cache;
constinit uintptr_t g_own_start = 0, g_own_end = 0;

enum class Step { kStepped, kOutermost, kBroken, kNeedsAllRegisters };

}  // namespace

// A walk's view of KnownRows: reads the half that the last walk wrote, writes the other one. Small: it is on the
// application's stack.
class RowsOfWalk {
 public:
  RowsOfWalk(KnownRows* known, uint64_t generation) : known_(known) {
    if (known != nullptr && known->generation_ == generation) end_ = known->count_;
  }

  // The row of `ip` if it is what lay around `sp`.
  CompactRow Find(uintptr_t ip, uintptr_t sp) {
    if (at_ == end_) return {};
    const KnownRows::Frame* const before = known_->frames_[known_->half_];
    while (before[at_].cfa <= sp) {
      if (++at_ == end_) return {};
    }
    return before[at_].ip == ip ? CompactRow(before[at_].row) : CompactRow();
  }
  void BeginAnew() { at_ = end_; }
  void Write(size_t frame, uintptr_t ip, uintptr_t cfa, CompactRow row) {
    if (known_ == nullptr || frame >= KnownRows::kFrames) return;
    known_->frames_[known_->half_ ^ 1][frame] = {.ip = ip, .cfa = cfa, .row = row.word()};
  }
  void Keep(size_t frames, uint64_t generation) {
    if (known_ == nullptr) return;
    known_->generation_ = generation;
    known_->half_ ^= 1;
    known_->count_ = static_cast<uint32_t>(frames < KnownRows::kFrames ? frames : KnownRows::kFrames);
  }

 private:
  KnownRows* const known_;
  uint32_t at_ = 0, end_ = 0;
};

namespace {

// The innermost frame of what remains: sp and ip are those after the callee returned.
struct Walk {
  uintptr_t lookup;  // the address whose row holds in this frame
  bool follows_all;  // every register is followed from the start on, not only rsp and rbp
  bool interrupted;  // stepped over what a signal interrupted
  RegisterSet registers;
};

// The way for every frame: find its description, run its program, apply the row. Caches the row
// where that is possible.
__attribute__((noinline)) Step StepSlowly(const CfiSection& section, Walk* walk, StackReader* stack,
                                          uint64_t mixture, NativeFrame* frame) {
  uintptr_t* const cfa = &frame->cfa;
  FrameDescription description;
  if (!FindFrameDescription(section, walk->lookup, &description)) {
    // A return address that no call pushed, at the very beginning of a function: where a context
    // that was made by hand (makecontext) goes when its function returns. Nothing called that.
    const uintptr_t back = walk->lookup + 1;
    if (back != walk->registers.value[kReturnAddress] ||
        !FindFrameDescription(section, back, &description) || description.begin != back) {
      return Step::kBroken;
    }
    frame->ip = back;
    return Step::kOutermost;
  }
  Row row;
  CfiResult result = FindRow(section, description, walk->lookup, &row);
  const uintptr_t sp = walk->registers.value[kRsp];
  if (result == CfiResult::kDone) {
    const CompactRow compact =
        description.signal_frame ? CompactRow() : CompactRow::From(section, row);
    if (compact.base() != CompactRow::kNone) g_cache.Insert(mixture, compact);
    result = StepByRow(section, row, stack, &walk->registers, cfa);
  }
  if (result == CfiResult::kUnknownRegister || result == CfiResult::kBeyondUs) {
    if (!walk->follows_all) return Step::kNeedsAllRegisters;
    if (result == CfiResult::kBeyondUs) {
      result = StepByLibunwind(section, description, walk->lookup, stack, &walk->registers, cfa);
    }
  }
  if (result == CfiResult::kOutermost) return Step::kOutermost;
  // A stack grows downwards; only a signal handler may run on another one than what it interrupted.
  if (result != CfiResult::kDone || (!description.signal_frame && *cfa <= sp)) return Step::kBroken;
  walk->interrupted |= description.signal_frame;
  walk->lookup = walk->registers.value[kReturnAddress] - (description.signal_frame ? 0 : 1);
  return Step::kStepped;
}

// What nearly every frame is: a compact row that is in the cache.
inline Step StepQuickly(CompactRow row, Walk* walk, StackReader* stack, uintptr_t* cfa) {
  uintptr_t* const value = walk->registers.value;
  const uintptr_t sp = value[kRsp], bp = value[kRbp];
  uintptr_t frame;
  uintptr_t saved = 0;  // what the place of the caller's rbp is relative to
  if (row.base() == CompactRow::kAtRbp) {
    if (!stack->Read(bp + static_cast<uintptr_t>(row.cfa_offset()), &frame)) return Step::kBroken;
    saved = bp;
  } else {
    frame =
        (row.base() == CompactRow::kFromRsp ? sp : bp) + static_cast<uintptr_t>(row.cfa_offset());
    saved = frame;
  }
  *cfa = frame;
  if (row.outermost()) return Step::kOutermost;
  if (frame <= sp) return Step::kBroken;
  uintptr_t back;
  if (!stack->Read(frame - 8, &back)) return Step::kBroken;
  if (row.saves_rbp() &&
      !stack->Read(saved + static_cast<uintptr_t>(row.rbp_offset()), &value[kRbp])) {
    return Step::kBroken;
  }
  value[kRsp] = frame;
  value[kReturnAddress] = back;
  walk->lookup = back - 1;
  // The others are not followed here, and so not known any more.
  walk->registers.known &=
      uint32_t{1} << kRsp | uint32_t{1} << kRbp | uint32_t{1} << kReturnAddress;
  return Step::kStepped;
}

void Start(const Registers& start, Walk* walk) {
  walk->lookup = start.ip - 1;
  RegisterSet& registers = walk->registers;
  registers.known = 0;
  registers.Set(kReturnAddress, start.ip);
  registers.Set(kRsp, start.sp);
  registers.Set(kRbp, start.bp);
  registers.Set(kRbx, start.rbx);
  registers.Set(kR12, start.r12);
  registers.Set(kR13, start.r13);
  registers.Set(kR14, start.r14);
  registers.Set(kR15, start.r15);
}

}  // namespace

void InitializeNativeUnwinder() {
  InitializeObjectFinder();
  if (!ModuleRangeOf(reinterpret_cast<uintptr_t>(&InitializeNativeUnwinder), &g_own_start,
                     &g_own_end)) {
    g_own_start = g_own_end = 0;
  }
  InitializeLibunwind();
}

NativeWalk WalkNative(const Registers& start, StackBounds& bounds, NativeFrame* frames,
                      size_t room, KnownRows* known) {
  NativeWalk result{};
  StackReader stack(bounds, start.sp);
  const uint64_t generation = ModuleGeneration();
  RowsOfWalk rows(known, generation);
  Walk walk;
  walk.follows_all = false;
  walk.interrupted = false;
  Start(start, &walk);
  for (;;) {
    if (walk.registers.value[kReturnAddress] == 0) break;  // how a thread's first frame may look
    if (result.count == room) {
      result.truncated = true;
      break;
    }
    NativeFrame& frame = frames[result.count];
    const uintptr_t ip = walk.lookup;
    Step step;
    CompactRow row;
    if (!walk.follows_all) {
      row = rows.Find(ip, walk.registers.value[kRsp]);
      if (row.base() == CompactRow::kNone) row = g_cache.Find(RowCache::Mixture(ip, generation));
    }
    if (row.base() != CompactRow::kNone) {
      uintptr_t cfa = 0;
      step = StepQuickly(row, &walk, &stack, &cfa);
      frame = {ip, cfa};
      rows.Write(result.count, ip, cfa, row);
    } else {
      frame = {ip, 0};
      rows.Write(result.count, ip, 0, row);
      // Asked for here, so that what a new module takes of the stack does not come on top of what
      // the step takes.
      CfiSection section;
      step = CfiSectionOf(ip, &section)
                 ? StepSlowly(section, &walk, &stack, RowCache::Mixture(ip, generation), &frame)
                 : Step::kBroken;
    }
    if (step == Step::kNeedsAllRegisters) {
      // Rare: from the start again, this time following every register.
      walk.follows_all = true;
      Start(start, &walk);
      rows.BeginAnew();
      result.count = 0;
      continue;
    }
    ++result.count;
    if (step == Step::kStepped) continue;
    result.broken = step == Step::kBroken;
    if (result.broken) frame.cfa = 0;
    break;
  }
  result.interrupted = walk.interrupted;
  rows.Keep(result.count, generation);
  stack.Keep(&bounds);
  return result;
}

namespace {

bool IsOwn(const NativeFrame& frame) { return frame.ip >= g_own_start && frame.ip < g_own_end; }

}  // namespace

size_t LeadingOwnFrames(const NativeFrame* frames, size_t count) {
  size_t own = 0;
  while (own < count && IsOwn(frames[own])) ++own;
  return own;
}

size_t RemoveOwnFrames(NativeFrame* frames, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!IsOwn(frames[i])) frames[kept++] = frames[i];
  }
  return kept;
}

}  // namespace heapecho::stack

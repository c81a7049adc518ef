// SPDX-License-Identifier: Apache-2.0
// Walks the calling thread's native stack by its call frame information (CFI), without locks or
// allocation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::stack {

struct NativeFrame {
  uintptr_t
      ip;  // made for looking up: return address - 1; the exact instruction if a signal interrupted
  uintptr_t
      cfa;  // canonical frame address: the stack pointer before the call that made this frame;
            // 0: not known (where a broken walk ended, and below a context made by hand)
};

// Registers of the frame the walk starts in, as CFI rules need them (capture_registers.h takes
// them).
struct Registers {
  uintptr_t ip;  // a return address (the walk looks up ip - 1)
  uintptr_t sp;  // stack pointer after returning to ip
  uintptr_t bp;
  uintptr_t rbx, r12, r13, r14, r15;
};

struct NativeWalk {
  uint32_t count;  // frames written, innermost first
  bool truncated;  // there were more than the caller's room
  bool broken;     // ended at a frame that could not be stepped over (not at the outermost one): no
                // CFI, an unreadable stack, or a CFA that does not rise
  bool interrupted;  // a signal handler stands on it
};

// The pages of the stack that this thread has proven readable, in one word; zero means none yet.
// Lives in TLS; a walk reads and writes it, nobody else needs to.
struct StackBounds {
  uint64_t pages;
};

// The rules by which the last walk stepped, for the next one: most of a stack is what it was. In the order of the walk a
// cache line brings those of nearly three frames; in the table that all share, each frame waits for a line of its own. (With
// known_path.h, a sample below 100 frames that finds the caches taken by the application: 5.4 -> 1.9 us.) One walk at a
// time; zero-initialised: knows nothing.
class KnownRows {
 public:
  static constexpr uint32_t kFrames = 512;

  void Forget() { count_ = 0; }

 private:
  friend class RowsOfWalk;
  struct Frame {
    uintptr_t ip, cfa;
    uint64_t row;
  };
  uint64_t generation_;  // of modules, that the rules hold in
  uint32_t count_;
  uint32_t half_;  // that the last walk wrote
  Frame frames_[2][kFrames];
};

// Once, from the library's constructor: resolves what the walk uses. Not a hook: may call the
// loader.
void InitializeNativeUnwinder();

// Walks from `start`. Thread-safe, signal-safe, re-entrant; takes no lock, allocates nothing, opens
// nothing (but for the module table of glibc before 2.35: object_finder.h), leaves errno alone,
// uses at most 1 KiB of stack. What it cannot read ends the walk, never the process. Rules are
// cached by address until ModulesMayHaveChanged; `known`, where there is one, is read and renewed.
NativeWalk WalkNative(const Registers& start, StackBounds& bounds, NativeFrame* frames,
                      size_t room, KnownRows* known = nullptr);

// How many leading frames lie in the module that this function itself is linked into: the library's
// own, which a walk from within a hook begins with. What follows is the application's call.
size_t LeadingOwnFrames(const NativeFrame* frames, size_t count);

// Takes the library's own frames out wherever they stand, as where a function of ours called the application's
// allocator and that one called malloc. How many are left.
size_t RemoveOwnFrames(NativeFrame* frames, size_t count);

}  // namespace heapecho::stack

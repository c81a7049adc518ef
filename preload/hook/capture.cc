// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/capture.h"

#include "preload/base/counters.h"
#include "preload/hook/python_hooks.h"
#include "preload/hook/tasks.h"
#include "preload/stack/capture_registers.h"
#include "preload/stack/greenlet.h"

namespace heapecho::hook {

__attribute__((noinline)) Capture::Capture(ThreadState& thread)
    : thread_(thread), scratch_(g_state.scratch.Take(thread.ordinal)) {
  if (scratch_ == nullptr) {
    HEAPECHO_COUNT(no_scratch_buffer);
    return;
  }
  if (const uint32_t epoch = g_state.epoch.load(kRelaxed); scratch_->epoch != epoch) {
    // Whoever had it in the process that this one was forked from may not have come to an end.
    scratch_->rows.Forget();
    scratch_->path.Forget();
    scratch_->epoch = epoch;
  }
  stack::Registers registers;
  stack::CaptureRegisters(&registers);
  stack::NativeWalk walk = stack::WalkNative(registers, thread.bounds, scratch_->native,
                                             wire::kMaxNativeFrames, &scratch_->rows);
  if (walk.broken) {
    // It may have ended at anything; what is an evaluation is for the merge to say.
    if (walk.count > 0) scratch_->native[walk.count - 1].ip &= ~wire::kEvaluationFrame;
  }
  const auto own = static_cast<uint32_t>(stack::LeadingOwnFrames(scratch_->native, walk.count));
  stack::NativeFrame* const native = scratch_->native + own;
  walk.count = static_cast<uint32_t>(stack::RemoveOwnFrames(native, walk.count - own));
  native_ = native;
  python_walk_ =
      g_state.python.Walk(own > 0 ? native[-1].cfa : registers.sp, native, walk, scratch_->python);
  if (python_walk_.truncated) HEAPECHO_COUNT(python_truncated);
  if (python_walk_.count > 0) {
    const auto of_greenlet = static_cast<uint32_t>(stack::FramesOfGreenlet(native, walk.count));
    if (of_greenlet < walk.count) {
      walk = {.count = of_greenlet, .truncated = false, .broken = false, .interrupted = false};
    }
  }
  if (walk.truncated) HEAPECHO_COUNT(unwind_truncated);
  if (walk.broken) HEAPECHO_COUNT(unwind_broken);
  native_walk_ = walk;
  SettlePythonDomain();
}

Capture::~Capture() {
  if (scratch_ != nullptr) g_state.scratch.GiveBack(scratch_);
}

uint32_t Capture::Intern(const stack::Interner::Use& use, wire::Domain domain, uint64_t now) {
  g_state.interner.FoldIfFull(use, g_state.totals, now);
  const uint32_t stack = g_state.interner.Intern(use,
                                                 {.native = native_,
                                                  .native_walk = native_walk_,
                                                  .python = scratch_->python,
                                                  .python_walk = python_walk_,
                                                  .code_id = CodeIdOf,
                                                  .path = &scratch_->path,
                                                  .behalf_leaf = BehalfOf(thread_)},
                                                 domain, now);
  g_state.scratch.GiveBack(scratch_);
  scratch_ = nullptr;
  return stack;
}

}  // namespace heapecho::hook

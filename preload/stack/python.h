// SPDX-License-Identifier: Apache-2.0
// The Python interpreter of this process: finds it, decides once whether its frames can be walked, and walks them.
//
// Found among the libraries at start-up, or at the first sample whose native stack meets a file that exports it. Decided
// at the first sample of a thread that runs Python: everything is read with suspicion then, and only what proves to
// be as the layout says is walked from there on. Else stacks stay native, and the recording says why.
//
// Thread-safe, signal-safe, no lock, no allocation. Zero-initialised: no interpreter, no frames.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/stack/modules.h"
#include "preload/stack/native_unwinder.h"
#include "preload/stack/python_layout.h"
#include "preload/stack/python_walk.h"

namespace heapecho::stack {

class Python {
 public:
  // Told of the interpreter that was found and of what was decided, each once (a program may load and unload several;
  // the first one speaks for all), by a thread within a hook.
  using Changed = void (*)(wire::IdentityKey key, const char* text);

  // From the library's constructor, after InitializeNativeUnwinder. Unless `wanted`, frames are left alone.
  void Initialize(bool wanted, Changed changed);

  // Around a dlclose: while one is under way the interpreter may be the one that goes, and nothing is walked.
  void LibraryMayGo() { going_.fetch_add(1, std::memory_order_seq_cst); }
  void LibraryWent() { going_.fetch_sub(1, std::memory_order_seq_cst); }

  // The Python frames of the calling thread, merged with its native ones (MergeFrames) from `sp` on, the stack
  // pointer of the innermost. `python` has room for kMaxPythonFrames. None where no Python runs in this thread.
  PythonWalk Walk(uintptr_t sp, NativeFrame* native, const NativeWalk& native_walk, PythonFrame* python);

  // The same frames by themselves, where no native ones were walked.
  PythonWalk WalkAlone(PythonFrame* python);

  // Valid while a walk's frames are.
  const PythonInterpreter& interpreter() const { return interpreter_; }

  // The file it is in; false: none was found. Why its insides are not for us; null: they are.
  bool File(base::ExportingFile* file) const;
  const char* WhyUnsuitable() const { return unsuitable_; }
  // Whether the calling thread has the GIL; false where that cannot be told.
  bool HasGil() const;

  // Its version; null: none was found. What was decided: "full", or "native-only: " and why; null: nothing yet.
  const char* version() const;
  const char* verdict() const;

  // In a forked child: whoever was closing a library, or looking at one, is not here.
  void AfterFork();

 private:
  enum Phase : uint32_t { kNone = 0, kLooking, kFound, kWalking, kNativeOnly };

  void LookAtNewModules();
  void Look(const base::ExportingFile& file, uintptr_t start, uintptr_t end);
  void Decide(Phase phase, const char* reason);
  void Prove(uintptr_t thread_state, PythonFrame* scratch);
  bool StillThere();
  uintptr_t ThreadState() const;

  std::atomic<uint32_t> phase_;
  std::atomic<uint32_t> going_;
  std::atomic<uint32_t> looked_at_;  // the newest module (modules.h) that was asked whether it is the interpreter
  std::atomic<uint32_t> failed_proofs_;
  std::atomic<uint64_t> seen_;  // module generation in which the interpreter was last found in its place
  std::atomic<bool> decided_;
  bool wanted_ = false;
  Changed changed_ = nullptr;
  base::ExportingFile executable_ = {};
  base::ExportingFile file_ = {};
  const char* unsuitable_ = nullptr;
  PythonInterpreter interpreter_ = {};
  uintptr_t identity_ = 0;  // of the mapped object
  char verdict_[128] = {};
};

}  // namespace heapecho::stack

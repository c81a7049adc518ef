// SPDX-License-Identifier: Apache-2.0
// Walks the Python frames of the calling thread and finds each group of them its place among the native frames.
//
// A thread's frames are its own, with the GIL and without: nobody else links or frees them while it runs. So they
// are read as they lie, with every pointer checked for being one, every number bounded, and no reference taken.
// Nothing of Python is called. What an interpreter looks like while it starts, ends or is being taken apart is the
// caller's to keep away (python.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/stack/native_unwinder.h"
#include "preload/stack/python_layout.h"
#include "preload/wire/format.h"

namespace heapecho::stack {

inline constexpr size_t kMaxPythonFrames = 512;  // the innermost are kept

struct PythonFrame {
  uintptr_t code;        // address of the code object
  uint64_t key;          // KeyOfCode: tells it from others that come to lie at that address
  uintptr_t mark;        // in the outermost frame of an evaluation: where on the C stack that evaluation left a
                         // mark; else, and where evaluations leave none, zero
  uint32_t instruction;  // as a node of a Python frame has it; MergeFrames sets kGroupEntry
};

struct PythonWalk {
  uint32_t count;  // frames, innermost first
  bool truncated;  // there were more than the caller's room, or the chain ended in nonsense
  bool nonsense;   // the latter
};

// What PyThread_get_thread_ident() is for the calling thread.
inline uintptr_t ThisThreadId() { return reinterpret_cast<uintptr_t>(__builtin_thread_pointer()); }

// The frames that `thread_state`, this thread's own, holds: those that sys._getframe() shows.
PythonWalk WalkPython(const PythonInterpreter& interpreter, uintptr_t thread_state, PythonFrame* frames,
                      size_t room);

// Whether the interpreter is what its layout says: the same walk, but every word is proven readable first, and what it
// finds must be what it should. Slow; `frames` is scratch.
enum class PythonProof {
  kProven,
  kNothingRuns,   // no frame to look at
  kOtherThread,   // the thread's state is not this thread's
  kNoFrames,      // its frames do not lead to code
  kNoCode,        // code without names or lines
};
PythonProof ProvePython(const PythonInterpreter& interpreter, uintptr_t thread_state, PythonFrame* frames,
                        size_t room);

// Interleaves both: sets kEvaluationFrame in the ip of each native frame that a group of Python frames takes the place
// of, and kGroupEntry in the outermost frame of the group. `sp`: stack pointer of the innermost native frame.
// A group whose evaluation is not among the native frames joins the next one that is, or is left over outermost.
void MergeFrames(const PythonInterpreter& interpreter, uintptr_t sp, NativeFrame* native,
                 uint32_t native_count, PythonFrame* python, uint32_t python_count);

}  // namespace heapecho::stack

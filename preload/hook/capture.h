// SPDX-License-Identifier: Apache-2.0
// The calling thread's stack, native and Python frames merged, for a sample.
#pragma once

#include <cstdint>

#include "preload/hook/state.h"
#include "preload/hook/thread_state.h"

namespace heapecho::hook {

// Walks when it is made, into a scratch buffer that it gives back as soon as the stack has its id: there are few, and a
// thread that is not running keeps its own from the others. From within a slow path, with the guard held; what it could
// not do is counted. Allocates nothing, waits for nobody; on the stack.
class Capture {
 public:
  explicit Capture(ThreadState& thread);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // False: no scratch buffer was free, and there is no stack.
  explicit operator bool() const { return scratch_ != nullptr; }

  // Its id among `domain`'s stacks; folds the tables first if they are full. Once.
  uint32_t Intern(const stack::Interner::Use& use, wire::Domain domain, uint64_t now);

 private:
  const ThreadState& thread_;
  Scratch* scratch_;
  const stack::NativeFrame* native_ = nullptr;  // without our own
  stack::NativeWalk native_walk_ = {};
  stack::PythonWalk python_walk_ = {};
};

}  // namespace heapecho::hook

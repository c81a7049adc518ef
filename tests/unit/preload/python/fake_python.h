// SPDX-License-Identifier: Apache-2.0
// Objects and frames as a version of CPython lays them out, made by hand in memory of the test's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "preload/stack/python_layout.h"
#include "preload/stack/python_walk.h"

namespace heapecho::stack {

// A frame of a Python function that is to run.
struct FakeFrame {
  uintptr_t code;
  int32_t offset = 10;     // of the instruction in bytes, even; negative: before the first
  bool generator = false;  // owned by one
};

// What one evaluation on the C stack runs, innermost first.
using FakeEvaluation = std::vector<FakeFrame>;

class FakePython {
 public:
  explicit FakePython(uint32_t minor);

  const PythonInterpreter& interpreter() const { return interpreter_; }
  const PythonLayout& layout() const { return interpreter_.layout; }

  // Where members of made objects are: for tests that change them.
  template <typename T>
  static T& At(uintptr_t address) {
    return *reinterpret_cast<T*>(address);
  }

  // A str of 1, 2 or 4 bytes a character (the narrowest that holds it, as CPython makes them).
  uintptr_t String(const std::u32string& text);
  uintptr_t Bytes(const std::string& content);
  uintptr_t Code(const std::u32string& name, const std::u32string& file = U"/srv/app.py",
                 int32_t first_line = 1, const std::string& lines = std::string(24, 'l'));

  // This thread's state while it runs `evaluations`, innermost first, and its native frames: for each evaluation
  // one that it runs in, below `callees` frames that it calls. The stack pointer of the innermost is sp().
  uintptr_t Run(const std::vector<FakeEvaluation>& evaluations, size_t callees = 2);
  std::vector<NativeFrame>& native() { return native_; }
  uintptr_t sp() const { return reinterpret_cast<uintptr_t>(c_stack_.data()); }
  // Of the frames that Run() linked, innermost first, in all evaluations.
  const std::vector<uintptr_t>& frames() const { return frames_; }

 private:
  uintptr_t Make(size_t bytes);

  std::deque<std::vector<uint64_t>> memory_;
  std::vector<uint64_t> c_stack_ = std::vector<uint64_t>(8192);
  std::vector<NativeFrame> native_;
  std::vector<uintptr_t> frames_;
  PythonInterpreter interpreter_ = {};
  uint32_t versions_ = 0;
};

}  // namespace heapecho::stack

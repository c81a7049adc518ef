// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/python_walk.h"

#include "preload/base/syscalls.h"
#include "preload/base/memory_probe.h"
#include "preload/stack/python_code.h"
#include "preload/stack/python_memory.h"

namespace heapecho::stack {
namespace {

// Frames that are met and not kept: half made ones, shims, and those for which there is no more room while the
// evaluation that the last ones ran in is looked for.
constexpr uint32_t kMostUnkept = 1024;
// Who owns a frame: 1 is a generator, from 3 on it is no frame of a function.
constexpr uint8_t kOwnedByGenerator = 1;
constexpr uint8_t kFirstShimOwner = 3;
// From 3.14 on the low bits of a reference say how it is counted.
constexpr uintptr_t kReferenceTag = 7;

// How a walk reads: a chain that is known to be one, or one that has to be proven.
struct Trusting {
  static constexpr bool kKeys = true;
  template <typename T>
  static T Load(uintptr_t address) {
    return stack::Load<T>(address);
  }
};
struct Proving {
  static constexpr bool kKeys = false;
  // What cannot be read is zero, which ends a chain.
  template <typename T>
  static T Load(uintptr_t address) {
    return base::Readable(address) ? stack::Load<T>(address) : T{};
  }
};

template <typename Reader>
bool IsCode(const PythonInterpreter& interpreter, uintptr_t code) {
  return IsPointer(code) &&
         Reader::template Load<uintptr_t>(code + interpreter.layout.object_type) == interpreter.code_type;
}

class Collector {
 public:
  Collector(PythonFrame* frames, size_t room) : frames_(frames), room_(room) {}

  // False when there is no more to be had.
  bool Add(uintptr_t code, uint64_t key, uint32_t instruction) {
    if (walk_.count == room_) {
      walk_.truncated = true;
      return walk_.count != marked_ && Skip();
    }
    frames_[walk_.count++] = {.code = code, .key = key, .mark = 0, .instruction = instruction};
    return true;
  }
  // A frame that is not to be shown.
  bool Skip() {
    if (++unkept_ == kMostUnkept) walk_.truncated = true;
    return unkept_ < kMostUnkept;
  }
  // What was added since the last mark ran in the evaluation that left its mark there.
  void Mark(uintptr_t mark) {
    if (walk_.count != marked_) frames_[walk_.count - 1].mark = mark;
    marked_ = walk_.count;
  }
  void Cut() { walk_.truncated = walk_.nonsense = true; }
  const PythonWalk& walk() const { return walk_; }

 private:
  PythonFrame* const frames_;
  const size_t room_;
  uint32_t marked_ = 0;
  uint32_t unkept_ = 0;
  PythonWalk walk_ = {};
};

// 3.8 to 3.10: frame objects.
template <typename Reader>
void WalkFrameObjects(const PythonInterpreter& interpreter, uintptr_t thread_state, Collector* out) {
  const PythonLayout& layout = interpreter.layout;
  uintptr_t evaluation = layout.chain == PythonChain::kEvaluations
                             ? Reader::template Load<uintptr_t>(thread_state + layout.thread_evaluations)
                             : 0;
  uintptr_t frame = Reader::template Load<uintptr_t>(thread_state + layout.thread_frame);
  while (frame != 0) {
    if (!IsPointer(frame)) return out->Cut();
    const uintptr_t code = Reader::template Load<uintptr_t>(frame + layout.frame_code);
    if (!IsCode<Reader>(interpreter, code)) return out->Cut();
    const int32_t index = Reader::template Load<int32_t>(frame + layout.frame_instruction);
    const uint32_t instruction =
        index < 0 ? wire::kNoInstruction
                  : (static_cast<uint32_t>(index) * layout.instruction_unit) & wire::kInstructionMask;
    if (!out->Add(code, Reader::kKeys ? KeyOfCode(layout, code) : 0, instruction)) return;
    if (IsPointer(evaluation)) {
      out->Mark(evaluation);
      evaluation = Reader::template Load<uintptr_t>(evaluation + layout.evaluation_previous);
    }
    frame = Reader::template Load<uintptr_t>(frame + layout.frame_previous);
  }
}

// 3.11 and later: frames of the interpreter's own.
template <typename Reader>
void WalkInterpreterFrames(const PythonInterpreter& interpreter, uintptr_t thread_state, Collector* out) {
  const PythonLayout& layout = interpreter.layout;
  uintptr_t evaluation = 0;
  uintptr_t frame;
  if (layout.frame_in_evaluation) {
    evaluation = Reader::template Load<uintptr_t>(thread_state + layout.thread_evaluations);
    if (!IsPointer(evaluation)) return out->Cut();
    frame = Reader::template Load<uintptr_t>(evaluation + layout.evaluation_frame);
  } else {
    frame = Reader::template Load<uintptr_t>(thread_state + layout.thread_frame);
  }
  while (frame != 0) {
    if (!IsPointer(frame)) return out->Cut();
    const uint8_t owner = Reader::template Load<uint8_t>(frame + layout.frame_owner);
    bool shown = false;
    if (owner < kFirstShimOwner) {
      const uintptr_t code = Reader::template Load<uintptr_t>(frame + layout.frame_code) & ~kReferenceTag;
      if (!IsCode<Reader>(interpreter, code)) return out->Cut();
      const auto offset = static_cast<int64_t>(Reader::template Load<uintptr_t>(frame + layout.frame_instruction) -
                                               (code + layout.code_instructions));
      const int64_t first_traceable =
          int64_t{2} * Reader::template Load<int32_t>(code + layout.code_first_traceable);
      shown = owner == kOwnedByGenerator || offset >= first_traceable;
      const uint32_t instruction = offset < 0 || offset >= wire::kNoInstruction
                                       ? wire::kNoInstruction
                                       : static_cast<uint32_t>(offset);
      if (shown && !out->Add(code, Reader::kKeys ? KeyOfCode(layout, code) : 0, instruction)) return;
    }
    if (!shown && !out->Skip()) return;
    if (layout.chain == PythonChain::kShims) {
      if (owner >= kFirstShimOwner) out->Mark(frame);
    } else if (Reader::template Load<uint8_t>(frame + layout.frame_is_entry) != 0) {
      out->Mark(evaluation);
      if (!IsPointer(evaluation)) return out->Cut();
      evaluation = Reader::template Load<uintptr_t>(evaluation + layout.evaluation_previous);
    }
    frame = Reader::template Load<uintptr_t>(frame + layout.frame_previous);
  }
}

bool IsIn(const PythonInterpreter& interpreter, uintptr_t ip) {
  return ip >= interpreter.start && ip < interpreter.end;
}

void Pair(NativeFrame* native, PythonFrame* python) {
  native->ip |= wire::kEvaluationFrame;
  python->instruction |= wire::kGroupEntry;
}

void MergeByMark(const PythonInterpreter& interpreter, uintptr_t sp, NativeFrame* native,
                 uint32_t native_count, PythonFrame* python, uint32_t python_count) {
  // A mark that is not found has the rest of the stack searched in vain; more than a few say that the two do not
  // belong together.
  constexpr int kMostMisses = 8;
  int misses = 0;
  uint32_t next = 0;
  uintptr_t next_low = sp;
  for (uint32_t k = 0; k < python_count && misses < kMostMisses; ++k) {
    const uintptr_t mark = python[k].mark;
    if (mark == 0) continue;
    uintptr_t low = next_low;
    uint32_t i = next;
    // Only a frame of the interpreter itself can be it: that of a signal handler may seem to span two stacks.
    while (i < native_count && !(low <= mark && mark < native[i].cfa && IsIn(interpreter, native[i].ip))) {
      low = native[i++].cfa;
    }
    if (i == native_count) {
      ++misses;
      continue;
    }
    next = i + 1;
    next_low = native[i].cfa;
    Pair(&native[i], &python[k]);
  }
}

// Where evaluations leave no mark, the n-th Python frame runs in the n-th frame of the function that evaluates. From
// the innermost on: outside of a greenlet's own evaluations there are those of the greenlets it came from.
void MergeByOrder(const PythonInterpreter& interpreter, NativeFrame* native, uint32_t native_count,
                  PythonFrame* python, uint32_t python_count) {
  const auto evaluates = [&interpreter](uintptr_t ip) {
    return ip >= interpreter.evaluation_start && ip < interpreter.evaluation_end;
  };
  uint32_t found = 0;
  uintptr_t size = 0;
  for (uint32_t i = 0; i < native_count && found < python_count; ++i) {
    if (!evaluates(native[i].ip)) continue;
    if (i > 0) size = native[i].cfa - native[i - 1].cfa;
    Pair(&native[i], &python[found++]);
  }
  if (found == python_count || size == 0) return;

  // Some are missing. What the compiler moved out of the function, code it took for unlikely, keeps the function's
  // stack frame and is recognised by its size, if there is no more of it than what is missing.
  const auto moved = [&](uint32_t i) {
    const uintptr_t ip = native[i].ip & ~wire::kEvaluationFrame;
    return i > 0 && !evaluates(ip) && IsIn(interpreter, ip) && native[i].cfa - native[i - 1].cfa == size;
  };
  uint32_t candidates = 0;
  for (uint32_t i = 0; i < native_count; ++i) candidates += moved(i);
  if (candidates == 0 || found + candidates > python_count) return;
  for (uint32_t i = 0; i < found; ++i) python[i].instruction &= ~wire::kGroupEntry;
  uint32_t k = 0;
  for (uint32_t i = 0; i < native_count; ++i) {
    if ((native[i].ip & wire::kEvaluationFrame) != 0 || moved(i)) Pair(&native[i], &python[k++]);
  }
}

template <typename Reader>
PythonWalk WalkBy(const PythonInterpreter& interpreter, uintptr_t thread_state, PythonFrame* frames,
                  size_t room) {
  Collector collector(frames, room);
  if (interpreter.layout.chain == PythonChain::kFrameObjects ||
      interpreter.layout.chain == PythonChain::kEvaluations) {
    WalkFrameObjects<Reader>(interpreter, thread_state, &collector);
  } else {
    WalkInterpreterFrames<Reader>(interpreter, thread_state, &collector);
  }
  return collector.walk();
}

}  // namespace

PythonWalk WalkPython(const PythonInterpreter& interpreter, uintptr_t thread_state, PythonFrame* frames,
                      size_t room) {
  return WalkBy<Trusting>(interpreter, thread_state, frames, room);
}

PythonProof ProvePython(const PythonInterpreter& interpreter, uintptr_t thread_state, PythonFrame* frames,
                        size_t room) {
  const PythonLayout& layout = interpreter.layout;
  const auto load = Proving::Load<uintptr_t>;
  if (load(thread_state + layout.thread_id) != ThisThreadId()) return PythonProof::kOtherThread;
  if (layout.thread_native_id != 0 &&
      load(thread_state + layout.thread_native_id) != static_cast<uintptr_t>(base::Syscall(SYS_gettid))) {
    return PythonProof::kOtherThread;
  }
  const PythonWalk walk = WalkBy<Proving>(interpreter, thread_state, frames, room);
  if (walk.nonsense) return PythonProof::kNoFrames;
  for (uint32_t i = 0; i < walk.count; ++i) {
    const auto is_of_type = [&](uint16_t member, uintptr_t type) {
      const uintptr_t object = load(frames[i].code + member);
      return IsPointer(object) && load(object + layout.object_type) == type;
    };
    if (!is_of_type(layout.code_name, interpreter.string_type) ||
        !is_of_type(layout.code_file, interpreter.string_type) ||
        !is_of_type(layout.code_lines, interpreter.bytes_type)) {
      return PythonProof::kNoCode;
    }
  }
  return walk.count == 0 ? PythonProof::kNothingRuns : PythonProof::kProven;
}

void MergeFrames(const PythonInterpreter& interpreter, uintptr_t sp, NativeFrame* native,
                 uint32_t native_count, PythonFrame* python, uint32_t python_count) {
  if (interpreter.layout.chain == PythonChain::kFrameObjects) {
    MergeByOrder(interpreter, native, native_count, python, python_count);
  } else {
    MergeByMark(interpreter, sp, native, native_count, python, python_count);
  }
}

}  // namespace heapecho::stack

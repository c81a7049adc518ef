// SPDX-License-Identifier: Apache-2.0
// Where CPython keeps what a walk over its frames reads: offsets by minor version, and how a mapped file is
// recognised as an interpreter whose offsets these are.
//
// Up to 3.12 the offsets come from a table (read off debug information, GIL builds, x86-64); 3.13 and later publish
// most of theirs in _Py_DebugOffsets at the start of _PyRuntime. In every version PyCode_Type's member table and the
// types' sizes are static data that anyone may read, and what they say must agree. An interpreter that does not
// agree (a build with other headers, a version of the future) is named and left alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/symbols.h"
#include "preload/wire/format.h"

namespace heapecho::stack {

// How the frames of a thread hang together, and what tells where one evaluation on the C stack ends.
enum class PythonChain : uint8_t {
  kFrameObjects,  // 3.8, 3.9: frame objects; each has an evaluation of its own, which leaves no mark
  kEvaluations,   // 3.10: frame objects; each evaluation is an entry of a list on the C stack
  kEntryFlag,     // 3.11: the same list, an entry for one or more frames, the outermost of which is flagged
  kShims,         // 3.12 and later: behind the outermost frame of an evaluation a frame that lies on the C stack
};

// All offsets in bytes. Zero where a version has no such thing.
struct PythonLayout {
  PythonChain chain;
  wire::LineTable line_table;
  bool published;  // _Py_DebugOffsets is there
  // The thread's state.
  uint16_t thread_frame;  // the innermost frame; where evaluations_frame is not zero it is there instead
  uint16_t thread_evaluations, thread_interpreter, thread_id, thread_native_id;
  bool frame_in_evaluation;  // the innermost frame is a member of the innermost evaluation, not of the thread
  uint16_t evaluation_frame, evaluation_previous;
  // A frame.
  uint16_t frame_code, frame_previous, frame_instruction, frame_owner, frame_is_entry;
  uint8_t instruction_unit;  // bytes that one of the frame's instruction index means; 0: it is a pointer
  // A code object.
  uint16_t code_first_line, code_file, code_name, code_qualified_name, code_lines, code_version,
      code_first_traceable, code_instructions;
  // A string.
  uint16_t string_length, string_hash, string_state, string_ascii, string_compact;
  // A byte string, and any object.
  uint16_t bytes_size, bytes_data, object_type;
};

// The offsets that version 3.`minor` is expected to have; null for one that is not known.
const PythonLayout* ExpectedPythonLayout(uint32_t minor);

// An interpreter in this process. Plain data; valid while the file is mapped.
struct PythonInterpreter {
  PythonLayout layout;
  char version[24];  // such as 3.11.7
  void* (*thread_state)();  // PyGILState_GetThisThreadState: this thread's, with and without the GIL, or null.
                            // Up to 3.11 its first one, even while it runs a sub-interpreter
  void* (*current_state)();  // _PyThreadState_UncheckedGet: up to 3.11 that of whichever thread has the GIL, later
                             // this thread's if it has the GIL; may be missing
  int (*is_finalizing)();
  uintptr_t code_type, string_type, bytes_type;
  uintptr_t start, end;                        // range of the mapped file
  uintptr_t evaluation_start, evaluation_end;  // _PyEval_EvalFrameDefault, but for what a compiler moved away
};

enum class PythonKind {
  kNone,        // no interpreter, or one from before 3.0
  kWalkable,
  kUnsuitable,  // an interpreter whose frames are not for us; `reason` says why, `interpreter->version` is set
};

// What `file` is, mapped at `start` to `end`. `executable` is where data that the executable has copied (copy
// relocations) really lies. Calls nothing of Python but, before 3.11, Py_GetVersion. Signal-safe.
PythonKind RecognisePython(const base::ExportingFile& file, const base::ExportingFile& executable,
                           uintptr_t start, uintptr_t end, PythonInterpreter* interpreter,
                           const char** reason);

}  // namespace heapecho::stack

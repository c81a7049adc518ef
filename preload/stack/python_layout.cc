// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/python_layout.h"

#include <cstring>

#include "preload/base/decimal.h"
#include "preload/stack/python_memory.h"

namespace heapecho::stack {
namespace {

using base::FindDefinition;
using base::SymbolType;

constexpr uint32_t kOldestMinor = 8;

// 3.8 and 3.9; what later versions have in common with them is copied from here.
constexpr PythonLayout MakeOldest() {
  PythonLayout layout = {};
  layout.chain = PythonChain::kFrameObjects;
  layout.line_table = wire::LineTable::kLnotab;
  layout.thread_frame = 24;
  layout.thread_interpreter = 16;
  layout.thread_id = 176;
  layout.frame_code = 32;
  layout.frame_previous = 24;
  layout.frame_instruction = 104;
  layout.instruction_unit = 1;
  layout.code_first_line = 40;
  layout.code_file = 104;
  layout.code_name = 112;
  layout.code_lines = 120;
  layout.string_length = 16;
  layout.string_hash = 24;
  layout.string_state = 32;
  layout.string_ascii = 48;
  layout.string_compact = 72;
  layout.bytes_size = 16;
  layout.bytes_data = 32;
  layout.object_type = 8;
  return layout;
}

constexpr PythonLayout Make310() {
  PythonLayout layout = MakeOldest();
  layout.chain = PythonChain::kEvaluations;
  layout.line_table = wire::LineTable::kLines;
  layout.thread_evaluations = 48;
  layout.evaluation_previous = 8;
  layout.frame_instruction = 96;
  layout.instruction_unit = 2;
  return layout;
}

constexpr PythonLayout Make311() {
  PythonLayout layout = MakeOldest();
  layout.chain = PythonChain::kEntryFlag;
  layout.line_table = wire::LineTable::kLocations;
  layout.thread_frame = 0;
  layout.thread_evaluations = 56;
  layout.frame_in_evaluation = true;
  layout.evaluation_frame = 8;
  layout.evaluation_previous = 16;
  layout.thread_id = 152;
  layout.thread_native_id = 160;
  layout.frame_code = 32;
  layout.frame_previous = 48;
  layout.frame_instruction = 56;
  layout.frame_is_entry = 68;
  layout.frame_owner = 69;
  layout.instruction_unit = 0;
  layout.code_first_line = 72;
  layout.code_file = 112;
  layout.code_name = 120;
  layout.code_qualified_name = 128;
  layout.code_lines = 136;
  layout.code_first_traceable = 168;
  layout.code_instructions = 184;
  return layout;
}

constexpr PythonLayout Make312() {
  PythonLayout layout = Make311();
  layout.chain = PythonChain::kShims;
  layout.evaluation_frame = 0;
  layout.evaluation_previous = 8;
  layout.thread_id = 136;
  layout.thread_native_id = 144;
  layout.frame_code = 0;
  layout.frame_previous = 8;
  layout.frame_is_entry = 0;
  layout.frame_owner = 70;
  layout.code_first_line = 68;
  layout.code_version = 92;
  layout.code_first_traceable = 176;
  layout.code_instructions = 192;
  layout.string_ascii = 40;
  layout.string_compact = 56;
  return layout;
}

constexpr PythonLayout Make313() {
  PythonLayout layout = Make312();
  layout.published = true;
  layout.thread_evaluations = 0;
  layout.frame_in_evaluation = false;
  layout.evaluation_previous = 0;
  layout.thread_frame = 72;
  layout.thread_id = 152;
  layout.thread_native_id = 160;
  layout.code_first_traceable = 184;
  layout.code_instructions = 200;
  return layout;
}

constexpr PythonLayout Make314() {
  PythonLayout layout = Make313();
  layout.frame_owner = 74;
  layout.code_first_traceable = 192;
  layout.code_instructions = 208;
  return layout;
}

constexpr PythonLayout Make315() {
  PythonLayout layout = Make314();
  layout.thread_id = 176;
  layout.thread_native_id = 184;
  return layout;
}

constexpr PythonLayout kLayouts[] = {MakeOldest(), MakeOldest(), Make310(), Make311(),
                                     Make312(),    Make313(),    Make314(), Make315()};

// Where the groups of _Py_DebugOffsets hold what we read; they move in each version.
struct PublishedAt {
  uint16_t thread_frame, thread_id, thread_native_id;
  uint16_t frame_previous, frame_code, frame_instruction, frame_owner;
  uint16_t code_file, code_name, code_qualified_name, code_lines, code_first_line, code_instructions;
  uint16_t object_type, bytes_size, bytes_data, string_state, string_length, string_ascii;
};
constexpr uint32_t kFirstPublished = 13;
constexpr PublishedAt kPublished[] = {
    {.thread_frame = 184, .thread_id = 192, .thread_native_id = 200,
     .frame_previous = 232, .frame_code = 240, .frame_instruction = 248, .frame_owner = 264,
     .code_file = 280, .code_name = 288, .code_qualified_name = 296, .code_lines = 304,
     .code_first_line = 312, .code_instructions = 344,
     .object_type = 360, .bytes_size = 520, .bytes_data = 528,
     .string_state = 544, .string_length = 552, .string_ascii = 560},
    {.thread_frame = 208, .thread_id = 216, .thread_native_id = 224,
     .frame_previous = 256, .frame_code = 264, .frame_instruction = 272, .frame_owner = 288,
     .code_file = 320, .code_name = 328, .code_qualified_name = 336, .code_lines = 344,
     .code_first_line = 352, .code_instructions = 384,
     .object_type = 408, .bytes_size = 600, .bytes_data = 608,
     .string_state = 624, .string_length = 632, .string_ascii = 640},
    {.thread_frame = 208, .thread_id = 240, .thread_native_id = 248,
     .frame_previous = 320, .frame_code = 328, .frame_instruction = 336, .frame_owner = 352,
     .code_file = 384, .code_name = 392, .code_qualified_name = 400, .code_lines = 408,
     .code_first_line = 416, .code_instructions = 448,
     .object_type = 472, .bytes_size = 696, .bytes_data = 704,
     .string_state = 720, .string_length = 728, .string_ascii = 736},
};
constexpr size_t kFreeThreadedAt = 16;
constexpr char kCookie[] = "xdebugpy";


// Whether what the interpreter publishes is what is expected of it. All of it: members that are not published
// were read off builds for which the published ones held.
bool AgreesWithPublished(const PythonLayout& layout, uintptr_t runtime, uint32_t minor) {
  const PublishedAt& at = kPublished[minor - kFirstPublished];
  const auto says = [runtime](uint16_t position, uint16_t expected) {
    return Load<uint64_t>(runtime + position) == expected;
  };
  return says(at.thread_frame, layout.thread_frame) && says(at.thread_id, layout.thread_id) &&
         says(at.thread_native_id, layout.thread_native_id) &&
         says(at.frame_previous, layout.frame_previous) && says(at.frame_code, layout.frame_code) &&
         says(at.frame_instruction, layout.frame_instruction) &&
         says(at.frame_owner, layout.frame_owner) && says(at.code_file, layout.code_file) &&
         says(at.code_name, layout.code_name) &&
         says(at.code_qualified_name, layout.code_qualified_name) &&
         says(at.code_lines, layout.code_lines) && says(at.code_first_line, layout.code_first_line) &&
         says(at.code_instructions, layout.code_instructions) &&
         says(at.object_type, layout.object_type) && says(at.bytes_size, layout.bytes_size) &&
         says(at.bytes_data, layout.bytes_data) && says(at.string_state, layout.string_state) &&
         says(at.string_length, layout.string_length) && says(at.string_ascii, layout.string_ascii);
}

// Members of a type object and of its table of members: the stable part of CPython's ABI.
constexpr size_t kTypeBasicSize = 32;
constexpr size_t kTypeMembers = 240;
constexpr size_t kMemberEntry = 40;
constexpr size_t kMemberOffset = 16;
constexpr int kMostMembers = 64;

// Offset of the type's member `name`; -1: it has none.
int64_t MemberOffset(uintptr_t type, const char* name) {
  uintptr_t entry = Load<uintptr_t>(type + kTypeMembers);
  if (entry == 0) return -1;
  for (int i = 0; i < kMostMembers; ++i, entry += kMemberEntry) {
    const auto* const entry_name = Load<const char*>(entry);
    if (entry_name == nullptr) return -1;
    if (std::strcmp(entry_name, name) == 0) return Load<int64_t>(entry + kMemberOffset);
  }
  return -1;
}

bool AgreesWithTypes(const PythonLayout& layout, uintptr_t code_type, uintptr_t string_type,
                     uintptr_t frame_type) {
  const char* const lines =
      layout.line_table == wire::LineTable::kLnotab ? "co_lnotab" : "co_linetable";
  if (MemberOffset(code_type, "co_filename") != layout.code_file ||
      MemberOffset(code_type, "co_name") != layout.code_name ||
      MemberOffset(code_type, "co_firstlineno") != layout.code_first_line) {
    return false;
  }
  // 3.10 shows the line table by a function.
  const int64_t lines_at = MemberOffset(code_type, lines);
  if (lines_at != layout.code_lines && lines_at != -1) return false;
  if (layout.code_instructions != 0 &&
      (MemberOffset(code_type, "co_qualname") != layout.code_qualified_name ||
       Load<int64_t>(code_type + kTypeBasicSize) != layout.code_instructions)) {
    return false;
  }
  if (layout.chain == PythonChain::kFrameObjects || layout.chain == PythonChain::kEvaluations) {
    if (MemberOffset(frame_type, "f_back") != layout.frame_previous ||
        MemberOffset(frame_type, "f_code") != layout.frame_code) {
      return false;
    }
    const int64_t instruction = MemberOffset(frame_type, "f_lasti");
    if (instruction != -1 && instruction != layout.frame_instruction) return false;
  }
  // A string that is not compact is one pointer longer than one that is.
  return Load<int64_t>(string_type + kTypeBasicSize) == layout.string_compact + 8;
}

// Py_Version's number as text: 0x030b07f0 is 3.11.7, 0x030e00b2 is 3.14.0b2.
void FormatVersion(uint32_t number, char* out) {
  out = base::FormatDecimal(out, number >> 24);
  *out++ = '.';
  out = base::FormatDecimal(out, number >> 16 & 0xff);
  *out++ = '.';
  out = base::FormatDecimal(out, number >> 8 & 0xff);
  switch (number >> 4 & 0xf) {
    case 0xa: *out++ = 'a'; break;
    case 0xb: *out++ = 'b'; break;
    case 0xc: *out++ = 'r'; *out++ = 'c'; break;
    default: *out = '\0'; return;
  }
  out = base::FormatDecimal(out, number & 0xf);
  *out = '\0';
}

// "3.8.18 (default, ...": the part before the space to `out`; returns the minor version, 0 where the major one is not
// 3.
uint32_t ParseVersion(const char* text, char* out, size_t room) {
  size_t length = 0;
  while (text[length] != '\0' && text[length] != ' ' && length + 1 < room) {
    out[length] = text[length];
    ++length;
  }
  out[length] = '\0';
  if (text[0] != '3' || text[1] != '.') return 0;
  uint32_t minor = 0;
  for (const char* c = text + 2; *c >= '0' && *c <= '9' && minor < 1000; ++c) {
    minor = minor * 10 + static_cast<uint32_t>(*c - '0');
  }
  return minor;
}

}  // namespace

const PythonLayout* ExpectedPythonLayout(uint32_t minor) {
  constexpr uint32_t kKnown = sizeof kLayouts / sizeof kLayouts[0];
  if (minor < kOldestMinor || minor - kOldestMinor >= kKnown) return nullptr;
  return &kLayouts[minor - kOldestMinor];
}

PythonKind RecognisePython(const base::ExportingFile& file, const base::ExportingFile& executable,
                           uintptr_t start, uintptr_t end, PythonInterpreter* interpreter,
                           const char** reason) {
  const auto function = [&file](const char* name) {
    return FindDefinition(file, name, SymbolType::kFunction).address;
  };
  // Data that the executable refers to may have moved into the executable.
  const auto object = [&](const char* name) -> uintptr_t {
    const uintptr_t copied = FindDefinition(executable, name, SymbolType::kObject).address;
    return copied != 0 ? copied : FindDefinition(file, name, SymbolType::kObject).address;
  };
  if (FindDefinition(file, "PyCode_Type", SymbolType::kObject).address == 0) return PythonKind::kNone;
  const uintptr_t get_version = function("Py_GetVersion");
  if (get_version == 0) return PythonKind::kNone;

  *interpreter = {};
  uint32_t minor = 0;
  if (const uintptr_t number_at = object("Py_Version")) {  // 3.11 and later
    const auto number = static_cast<uint32_t>(Load<uint64_t>(number_at));
    FormatVersion(number, interpreter->version);
    if (number >> 24 == 3) minor = number >> 16 & 0xff;
  } else {
    const auto version = reinterpret_cast<const char* (*)()>(get_version);
    minor = ParseVersion(version(), interpreter->version, sizeof interpreter->version);
  }
  const PythonLayout* const layout = ExpectedPythonLayout(minor);
  if (layout == nullptr) {
    *reason = "this version's frames are not known";
    return PythonKind::kUnsuitable;
  }
  interpreter->layout = *layout;
  interpreter->start = start;
  interpreter->end = end;
  interpreter->thread_state =
      reinterpret_cast<void* (*)()>(function("PyGILState_GetThisThreadState"));
  const uintptr_t unchecked = function("_PyThreadState_UncheckedGet");
  interpreter->current_state = reinterpret_cast<void* (*)()>(
      unchecked != 0 ? unchecked : function("PyThreadState_GetUnchecked"));  // its name from 3.13 on
  interpreter->is_finalizing = reinterpret_cast<int (*)()>(
      function(layout->published ? "Py_IsFinalizing" : "_Py_IsFinalizing"));
  interpreter->code_type = object("PyCode_Type");
  interpreter->string_type = object("PyUnicode_Type");
  interpreter->bytes_type = object("PyBytes_Type");
  const uintptr_t frame_type = object("PyFrame_Type");
  const base::Definition evaluation =
      FindDefinition(file, "_PyEval_EvalFrameDefault", SymbolType::kFunction);
  interpreter->evaluation_start = evaluation.address;
  interpreter->evaluation_end = evaluation.address + evaluation.size;
  if (interpreter->thread_state == nullptr || interpreter->is_finalizing == nullptr ||
      interpreter->string_type == 0 || interpreter->bytes_type == 0 || frame_type == 0) {
    *reason = "it does not export what a walk over its frames needs";
    return PythonKind::kUnsuitable;
  }
  if (layout->published) {
    const uintptr_t runtime = object("_PyRuntime");
    if (runtime == 0 || std::memcmp(reinterpret_cast<const void*>(runtime), kCookie, 8) != 0) {
      *reason = "it does not publish where its frames are";
      return PythonKind::kUnsuitable;
    }
    if (Load<uint64_t>(runtime + kFreeThreadedAt) != 0) {
      *reason = "a free-threaded build";
      return PythonKind::kUnsuitable;
    }
    if (!AgreesWithPublished(*layout, runtime, minor)) {
      *reason = "what it publishes about its frames is not what this version should have";
      return PythonKind::kUnsuitable;
    }
  }
  if (!AgreesWithTypes(*layout, interpreter->code_type, interpreter->string_type, frame_type)) {
    *reason = "its objects are not laid out as this version's should be";
    return PythonKind::kUnsuitable;
  }
  return PythonKind::kWalkable;
}

}  // namespace heapecho::stack

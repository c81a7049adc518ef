// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/preload/python/fake_python.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace heapecho::stack {
namespace {

constexpr uintptr_t kText = 0x400000;  // where the interpreter's code is said to be
constexpr size_t kFrameWords = 16;     // of a native frame

}  // namespace

FakePython::FakePython(uint32_t minor) {
  interpreter_.layout = *ExpectedPythonLayout(minor);
  interpreter_.code_type = Make(256);
  interpreter_.string_type = Make(256);
  interpreter_.bytes_type = Make(256);
  interpreter_.start = kText;
  interpreter_.end = kText + 0x100000;
  interpreter_.evaluation_start = kText + 0x1000;
  interpreter_.evaluation_end = kText + 0x9000;
}

uintptr_t FakePython::Make(size_t bytes) {
  memory_.emplace_back(bytes / 8 + 8);
  return reinterpret_cast<uintptr_t>(memory_.back().data());
}

uintptr_t FakePython::String(const std::u32string& text) {
  const char32_t widest = text.empty() ? 0 : *std::max_element(text.begin(), text.end());
  const uint32_t width = widest < 0x100 ? 1 : widest < 0x10000 ? 2 : 4;
  const bool ascii = widest < 0x80;
  const uintptr_t string = Make(80 + text.size() * width);
  At<uintptr_t>(string + layout().object_type) = interpreter_.string_type;
  At<uint64_t>(string + layout().string_length) = text.size();
  At<uint64_t>(string + layout().string_hash) = ~uint64_t{0};
  At<uint32_t>(string + layout().string_state) = width << 2 | 1u << 5 | (ascii ? 1u << 6 : 0);
  auto* const data =
      reinterpret_cast<char*>(string + (ascii ? layout().string_ascii : layout().string_compact));
  for (size_t i = 0; i < text.size(); ++i) {
    const uint32_t c = text[i];
    std::memcpy(data + i * width, &c, width);
  }
  return string;
}

uintptr_t FakePython::Bytes(const std::string& content) {
  const uintptr_t bytes = Make(40 + content.size());
  At<uintptr_t>(bytes + layout().object_type) = interpreter_.bytes_type;
  At<uint64_t>(bytes + layout().bytes_size) = content.size();
  std::memcpy(reinterpret_cast<char*>(bytes + layout().bytes_data), content.data(), content.size());
  return bytes;
}

uintptr_t FakePython::Code(const std::u32string& name, const std::u32string& file, int32_t first_line,
                           const std::string& lines) {
  const uintptr_t code = Make(4096);
  At<uintptr_t>(code + layout().object_type) = interpreter_.code_type;
  At<uintptr_t>(code + layout().code_name) = String(name);
  if (layout().code_qualified_name != 0) {
    At<uintptr_t>(code + layout().code_qualified_name) = String(U"Class." + name);
  }
  At<uintptr_t>(code + layout().code_file) = String(file);
  At<uintptr_t>(code + layout().code_lines) = Bytes(lines);
  At<int32_t>(code + layout().code_first_line) = first_line;
  if (layout().code_version != 0) At<uint32_t>(code + layout().code_version) = ++versions_;
  if (layout().code_first_traceable != 0) At<int32_t>(code + layout().code_first_traceable) = 2;
  return code;
}

uintptr_t FakePython::Run(const std::vector<FakeEvaluation>& evaluations, size_t callees) {
  const PythonLayout& at = layout();
  const uintptr_t thread = Make(1024);
  At<uintptr_t>(thread + at.thread_id) = ThisThreadId();
  if (at.thread_native_id != 0) {
    At<uint64_t>(thread + at.thread_native_id) = static_cast<uint64_t>(gettid());
  }
  native_.clear();
  frames_.clear();
  uintptr_t previous_evaluation = 0, mark = 0;
  uintptr_t* link = nullptr;  // where the next frame outwards is to be put
  size_t word = 0;
  uintptr_t innermost = 0;
  const auto append = [&](uintptr_t frame) {
    if (link != nullptr) {
      *link = frame;
    } else {
      innermost = frame;
    }
    link = &At<uintptr_t>(frame + at.frame_previous);
  };
  for (const FakeEvaluation& evaluation : evaluations) {
    for (size_t i = 0; i < callees; ++i) {
      word += kFrameWords;
      native_.push_back({.ip = kText + 0x20000 + i,
                         .cfa = reinterpret_cast<uintptr_t>(&c_stack_[word])});
    }
    mark = reinterpret_cast<uintptr_t>(&c_stack_[word + 3]);
    word += 2 * kFrameWords;
    native_.push_back({.ip = kText + 0x1234, .cfa = reinterpret_cast<uintptr_t>(&c_stack_[word])});

    if (at.thread_evaluations != 0) {  // an entry of the list on the C stack
      const uintptr_t entry = at.chain == PythonChain::kShims ? mark + 96 : mark;
      if (previous_evaluation == 0) {
        At<uintptr_t>(thread + at.thread_evaluations) = entry;
      } else {
        At<uintptr_t>(previous_evaluation + at.evaluation_previous) = entry;
      }
      previous_evaluation = entry;
    }
    for (size_t i = 0; i < evaluation.size(); ++i) {
      const uintptr_t frame = Make(256);
      append(frame);
      frames_.push_back(frame);
      At<uintptr_t>(frame + at.frame_code) = evaluation[i].code;
      if (at.code_instructions == 0) {
        At<int32_t>(frame + at.frame_instruction) =
            evaluation[i].offset < 0 ? -1 : evaluation[i].offset / at.instruction_unit;
      } else {
        At<uintptr_t>(frame + at.frame_instruction) =
            evaluation[i].code + at.code_instructions + static_cast<uintptr_t>(int64_t{evaluation[i].offset});
      }
      if (at.frame_owner != 0) At<uint8_t>(frame + at.frame_owner) = evaluation[i].generator ? 1 : 0;
      if (at.frame_is_entry != 0) At<uint8_t>(frame + at.frame_is_entry) = i + 1 == evaluation.size();
    }
    if (at.chain == PythonChain::kShims) {
      // On the C stack. From 3.12 to 3.15 it is smaller than the rest of the native frame.
      const uintptr_t shim = mark;
      append(shim);
      At<uint8_t>(shim + at.frame_owner) = 3;
    }
  }
  if (link != nullptr) *link = 0;
  if (at.thread_evaluations != 0) {  // the list ends with one of the thread's own
    const uintptr_t root = thread + 512;
    if (previous_evaluation == 0) {
      At<uintptr_t>(thread + at.thread_evaluations) = root;
    } else {
      At<uintptr_t>(previous_evaluation + at.evaluation_previous) = root;
    }
  }
  if (at.frame_in_evaluation) {
    At<uintptr_t>(At<uintptr_t>(thread + at.thread_evaluations) + at.evaluation_frame) = innermost;
  } else {
    At<uintptr_t>(thread + at.thread_frame) = innermost;
  }
  for (size_t i = 0; i < 2; ++i) {
    word += kFrameWords;
    native_.push_back({.ip = 0x10000 + i, .cfa = reinterpret_cast<uintptr_t>(&c_stack_[word])});
  }
  return thread;
}

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// Small recordings made in memory, and a symbolizer that needs no files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/recording.h"

namespace heapecho::testing {

// One module "app" (id 1) and stacks main -> f<address>; see AddStack.
class InMemoryRecording {
 public:
  explicit InMemoryRecording(uint8_t id) {
    recording_.file = absl::StrCat("r", id, ".heapecho");
    recording_.id.bytes[0] = id;
    recording_.pid = 100U + id;
    recording_.ppid = 1;
    recording_.identity.host = "web-1";
    recording_.identity.executable = "/srv/app";
    recording_.identity.command = {"/srv/app"};
    recording_.last_event_ns = 60'000'000'000;
    recording_.begin_realtime_ns = 1'700'000'000'000'000'000 + id;
    model::Module module;
    module.id = 1;
    module.path = "/srv/app";
    module.build_id = "c0ffee";
    recording_.modules.push_back(module);
    recording_.native_nodes.resize(1);
    recording_.stacks.resize(1);
  }

  // Outermost frame first.
  model::StackId AddStack(const std::vector<uint64_t>& addresses,
                          model::Domain domain = model::Domain::kMalloc, uint16_t module = 1) {
    uint32_t parent = 0;
    for (const uint64_t address : addresses) {
      recording_.native_nodes.push_back({parent, module, address, false});
      parent = static_cast<uint32_t>(recording_.native_nodes.size() - 1);
    }
    model::Stack stack;
    stack.native_leaf = parent;
    stack.domain = domain;
    recording_.stacks.push_back(stack);
    return {static_cast<uint32_t>(recording_.stacks.size() - 1)};
  }

  // A stack of both kinds; the first module is the interpreter. Outermost frames first.
  struct NativeFrame {
    uint64_t address;
    bool evaluates_python = false;
    uint16_t module = 1;
  };
  struct PythonFrame {
    uint32_t code;  // from AddCode; 0: unknown
    uint32_t instruction;
    bool group_entry = true;
  };
  model::StackId AddMixedStack(const std::vector<NativeFrame>& native,
                               const std::vector<PythonFrame>& python) {
    if (recording_.python_nodes.empty()) recording_.python_nodes.resize(1);
    if (recording_.python_code.empty()) recording_.python_code.resize(1);
    model::Stack stack;
    for (const NativeFrame& frame : native) {
      recording_.native_nodes.push_back(
          {stack.native_leaf, frame.module, frame.address, frame.evaluates_python});
      stack.native_leaf = static_cast<uint32_t>(recording_.native_nodes.size() - 1);
    }
    for (const PythonFrame& frame : python) {
      recording_.python_nodes.push_back(
          {stack.python_leaf, frame.code, frame.instruction, frame.group_entry});
      stack.python_leaf = static_cast<uint32_t>(recording_.python_nodes.size() - 1);
    }
    recording_.stacks.push_back(stack);
    return {static_cast<uint32_t>(recording_.stacks.size() - 1)};
  }

  // On whose behalf the stack ran. Outermost frames first.
  void SetBehalf(model::StackId stack, const std::vector<PythonFrame>& python) {
    uint32_t leaf = 0;
    for (const PythonFrame& frame : python) {
      recording_.python_nodes.push_back({leaf, frame.code, frame.instruction, false});
      leaf = static_cast<uint32_t>(recording_.python_nodes.size() - 1);
    }
    recording_.stacks[stack.value].behalf_leaf = leaf;
  }

  uint32_t AddCode(const std::string& name, const std::string& file) {
    if (recording_.python_code.empty()) recording_.python_code.resize(1);
    model::PythonCode code;
    code.name = name;
    code.file = file;
    recording_.python_code.push_back(code);
    return static_cast<uint32_t>(recording_.python_code.size() - 1);
  }

  model::LiveBlock& AddBlock(model::StackId stack, uint64_t size, double weight) {
    model::LiveBlock block;
    block.address = 0x1000 * (recording_.live_blocks.size() + 1);
    block.size = size;
    block.weight = weight;
    block.time_ns = 50'000'000'000;
    block.thread = recording_.pid;
    block.stack = stack;
    recording_.live_blocks.push_back(block);
    return recording_.live_blocks.back();
  }

  model::Recording& operator*() { return recording_; }
  model::Recording* operator->() { return &recording_; }

 private:
  model::Recording recording_;
};

// "f1000" at 0x1000 of any module; an address that ends in f is inlined in the function of the one
// that ends in 0.
inline std::vector<std::vector<model::Frame>> NameByAddress(const model::Module& module,
                                                            absl::Span<const uint64_t> addresses) {
  std::vector<std::vector<model::Frame>> result;
  for (const uint64_t address : addresses) {
    model::Frame frame;
    frame.module = module.path.substr(module.path.rfind('/') + 1);
    std::vector<model::Frame> frames;
    if ((address & 0xf) == 0xf) {
      frame.function = absl::StrCat("f", absl::Hex(address));
      frame.inlined = true;
      frames.push_back(frame);
      frame.inlined = false;
    }
    frame.function = absl::StrCat("f", absl::Hex(address & ~uint64_t{0xf}));
    frames.push_back(frame);
    result.push_back(frames);
  }
  return result;
}

// Instruction 7 is on line 7.
inline std::vector<uint32_t> LineByInstruction(const model::PythonCode&,
                                               absl::Span<const uint32_t> instructions) {
  return {instructions.begin(), instructions.end()};
}

// "main;f1000;f2000": root first.
inline std::string StackOf(const model::Profile& profile, const model::Sample& sample) {
  std::string text;
  for (const model::FrameId frame : sample.frames)
    absl::StrAppend(&text, text.empty() ? "" : ";", profile.frames[frame.value].function);
  return text;
}

}  // namespace heapecho::testing

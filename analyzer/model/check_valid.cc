// SPDX-License-Identifier: Apache-2.0
// Recording::CheckValid(): the door that every recording passes before anything relies on it.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/model/recording.h"

namespace heapecho::model {
namespace {

bool IsSound(double value) { return std::isfinite(value) && value >= 0; }

bool IsSound(const Estimate& estimate) {
  return IsSound(estimate.bytes) && IsSound(estimate.objects) && IsSound(estimate.bytes_variance) &&
         IsSound(estimate.objects_variance);
}

bool IsSound(Domain domain) { return domain <= Domain::kMmap; }

std::string CheckModules(const std::vector<Module>& modules) {
  uint32_t previous = 0;
  for (const Module& module : modules) {
    if (module.id <= previous) return absl::StrCat("module ", module.id, " is out of order");
    if (module.start > module.end)
      return absl::StrCat("module ", module.id, " ends before it starts");
    previous = module.id;
  }
  return "";
}

// Depths are found by walking up to the next known one and back, so that a long chain costs no
// recursion and the whole tree is walked once. `kind` begins the sentence.
template <typename AnyNode>
std::string CheckChains(const char* kind, const std::vector<AnyNode>& nodes) {
  if (nodes[0].parent != 0) return absl::StrCat("the root ", kind, " has a parent");
  constexpr uint16_t kUnseen = 0xffff;
  static_assert(kMaxFrames < kUnseen);
  std::vector<uint16_t> depth(nodes.size(), kUnseen);
  depth[0] = 0;
  std::vector<uint32_t> path;
  for (size_t i = 1; i < nodes.size(); ++i) {
    path.clear();
    size_t at = i;
    while (depth[at] == kUnseen) {
      if (path.size() == kMaxFrames)
        return absl::StrCat("the chain of ", kind, " ", i, " is too long");
      path.push_back(static_cast<uint32_t>(at));
      at = nodes[at].parent;
      if (at >= nodes.size()) return absl::StrCat(kind, " ", path.back(), " has no such parent");
    }
    if (depth[at] + path.size() > kMaxFrames) {
      return absl::StrCat("the chain of ", kind, " ", i, " is too long");
    }
    for (uint16_t d = depth[at]; !path.empty(); path.pop_back()) depth[path.back()] = ++d;
  }
  return "";
}

std::string CheckNodes(const std::vector<Node>& nodes, const std::vector<Module>& modules) {
  if (nodes.empty()) return "there is no root node";
  std::vector<bool> known(std::numeric_limits<uint16_t>::max() + size_t{1}, false);
  known[0] = true;
  for (const Module& module : modules) known[module.id] = true;
  for (size_t i = 1; i < nodes.size(); ++i) {
    if (!known[nodes[i].module]) {
      return absl::StrCat("node ", i, " names module ", nodes[i].module, ", which is not there");
    }
  }
  return CheckChains("node", nodes);
}

std::string CheckPython(const std::vector<PythonNode>& nodes,
                        const std::vector<PythonCode>& codes) {
  if (codes.empty() && nodes.empty()) return "";
  if (codes.empty()) return "there is no unknown code";
  if (nodes.empty()) return "there is no root Python node";
  if (codes[0] != PythonCode{}) return "the unknown code is known";
  for (size_t i = 1; i < codes.size(); ++i) {
    if (codes[i].table > LineTable::kLocations)
      return absl::StrCat("code ", i, " has no such line table");
  }
  for (size_t i = 1; i < nodes.size(); ++i) {
    if (nodes[i].code >= codes.size()) return absl::StrCat("Python node ", i, " has no such code");
  }
  return CheckChains("Python node", nodes);
}

std::string CheckStacks(const Recording& recording) {
  if (recording.stacks.empty()) return "there is no unknown stack";
  if (recording.stacks[0].native_leaf != 0 || recording.stacks[0].python_leaf != 0 ||
      recording.stacks[0].behalf_leaf != 0)
    return "the unknown stack has frames";
  const size_t python_nodes = std::max<size_t>(recording.python_nodes.size(), 1);
  for (size_t i = 0; i < recording.stacks.size(); ++i) {
    const Stack& stack = recording.stacks[i];
    if (stack.native_leaf >= recording.native_nodes.size() || stack.python_leaf >= python_nodes ||
        stack.behalf_leaf >= python_nodes) {
      return absl::StrCat("stack ", i, " has no such leaf");
    }
    if (!IsSound(stack.domain)) return absl::StrCat("stack ", i, " has no such domain");
    if (!IsSound(stack.allocated) || !IsSound(stack.freed) || !IsSound(stack.live) ||
        !IsSound(stack.peak)) {
      return absl::StrCat("stack ", i, " has totals that are no numbers");
    }
  }
  return "";
}

template <typename Record>
std::string CheckSample(const Record& record, const Recording& recording) {
  if (record.stack.value >= recording.stacks.size()) return "has no such stack";
  if (!IsSound(record.weight) || record.weight < 1) return "has a weight below one object";
  if (record.interval == 0) return "has no interval";
  if (record.time_ns > recording.last_event_ns) return "is younger than the last event";
  return "";
}

std::string CheckLive(const Recording& recording) {
  for (size_t i = 0; i < recording.live_blocks.size(); ++i) {
    const std::string wrong = CheckSample(recording.live_blocks[i], recording);
    if (!wrong.empty()) return absl::StrCat("live block ", i, " ", wrong);
  }
  return "";
}

std::string CheckRanges(const Recording& recording) {
  uint64_t end = 0;
  for (size_t i = 0; i < recording.ranges.size(); ++i) {
    const Range& range = recording.ranges[i];
    if (range.start < end) return absl::StrCat("range ", i, " begins within the one before");
    if (range.length > std::numeric_limits<uint64_t>::max() - range.start)
      return absl::StrCat("range ", i, " has no end");
    if (range.counted > range.length) return absl::StrCat("range ", i, " counts more than it has");
    if (!IsSound(range.weight)) return absl::StrCat("the weight of range ", i, " is not sound");
    if (range.domain && !IsSound(*range.domain))
      return absl::StrCat("range ", i, " has no such domain");
    if (range.stack.value >= recording.stacks.size())
      return absl::StrCat("range ", i, " names a stack that is not there");
    end = range.start + range.length;
  }
  return "";
}

std::string CheckThreads(const std::vector<Thread>& threads) {
  for (size_t i = 1; i < threads.size(); ++i) {
    if (std::tie(threads[i].id, threads[i].first_seen_ns) <
        std::tie(threads[i - 1].id, threads[i - 1].first_seen_ns))
      return absl::StrCat("thread ", i, " is out of order");
  }
  return "";
}

std::string CheckEvents(const Recording& recording) {
  uint64_t previous = 0;
  for (size_t i = 0; i < recording.events.size(); ++i) {
    const Event& event = recording.events[i];
    const std::string wrong = CheckSample(event, recording);
    if (!wrong.empty()) return absl::StrCat("event ", i, " ", wrong);
    if (event.kind > Event::Kind::kFree) return absl::StrCat("event ", i, " has no such kind");
    if (!IsSound(event.domain)) return absl::StrCat("event ", i, " has no such domain");
    if (event.time_ns < previous) return absl::StrCat("event ", i, " is out of order");
    previous = event.time_ns;
  }
  return "";
}

std::string CheckHistory(const Recording& recording) {
  const HistoryPoint* previous = nullptr;
  for (size_t i = 0; i < recording.history.size(); ++i) {
    const HistoryPoint& point = recording.history[i];
    const auto wrong = [i](const char* what) {
      return absl::StrCat("point ", i, " of the history ", what);
    };
    if (point.from_ns > point.time_ns) return wrong("ends before it starts");
    if (previous != nullptr && previous->time_ns >= point.from_ns) return wrong("is out of order");
    if (point.time_ns > recording.last_event_ns) return wrong("is younger than the last event");
    if (!IsSound(point.live) || !IsSound(point.allocated) || !IsSound(point.freed) ||
        !IsSound(point.live_most) || !IsSound(point.unlisted_live) ||
        !IsSound(point.unlisted_most)) {
      return wrong("has amounts that are no numbers");
    }
    for (const double live : point.domain_live)
      if (!IsSound(live)) return wrong("has amounts that are no numbers");
    for (size_t k = 0; k < point.stacks.size(); ++k) {
      const HistoryPoint::Held& held = point.stacks[k];
      if (held.stack.value >= recording.stacks.size()) return wrong("names no such stack");
      if (k != 0 && point.stacks[k - 1].stack.value >= held.stack.value)
        return wrong("has stacks out of order");
      if (!IsSound(held.bytes) || !IsSound(held.bytes_variance))
        return wrong("has amounts that are no numbers");
    }
    previous = &point;
  }
  return "";
}

}  // namespace

std::string Recording::CheckValid() const {
  if (process_end > ProcessEnd::kExec) return "there is no such end of a process";
  if (recording_end > RecordingEnd::kUnknown) return "there is no such end of a recording";
  if (!IsSound(allocated) || !IsSound(freed) || !IsSound(live) || !IsSound(peak)) {
    return "the process's totals are no numbers";
  }
  for (const SectionInfo& section : sections) {
    if (section.record_size == 0 || section.records > section.size / section.record_size) {
      return absl::StrCat("section ", section.name, " holds more than it has room for");
    }
  }
  std::string wrong = CheckModules(modules);
  if (wrong.empty()) wrong = CheckNodes(native_nodes, modules);
  if (wrong.empty()) wrong = CheckPython(python_nodes, python_code);
  if (wrong.empty()) wrong = CheckStacks(*this);
  if (wrong.empty()) wrong = CheckLive(*this);
  if (wrong.empty()) wrong = CheckThreads(threads);
  if (wrong.empty()) wrong = CheckRanges(*this);
  if (wrong.empty()) wrong = CheckEvents(*this);
  if (wrong.empty()) wrong = CheckHistory(*this);
  return wrong;
}

}  // namespace heapecho::model

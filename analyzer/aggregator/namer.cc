// SPDX-License-Identifier: Apache-2.0
// From merged nodes to frames with names; the contract is in the header.
#include "analyzer/aggregator/namer.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace heapecho::aggregator {
namespace {

model::Frame Synthetic(std::string name) {
  model::Frame frame;
  frame.kind = model::Frame::Kind::kSynthetic;
  frame.function = std::move(name);
  return frame;
}

model::Frame PythonFrame(const model::PythonCode& code, uint32_t line) {
  model::Frame frame;
  frame.kind = model::Frame::Kind::kPython;
  frame.function = code.name;
  frame.file = code.file;
  frame.line = line;
  return frame;
}

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Namer::Namer(const MergedStacks& merged)
    : merged_(merged), own_(merged.modules().size()), frames_at_(merged.locations().size()) {
  for (size_t i = 1; i < merged.modules().size(); ++i)
    own_[i] = absl::StartsWith(FileName(merged.modules()[i].path), "libheapecho.so");
  for (size_t i = 1; i < merged.modules().size(); ++i)
    if (merged.interpreters()[i]) interpreters_.insert(FileName(merged.modules()[i].path));
}

uint32_t Namer::Intern(const model::Frame& frame) {
  const auto [entry, is_new] = index_.try_emplace(frame, static_cast<uint32_t>(frames_.size()));
  if (is_new) {
    frames_.push_back(&entry->first);
    roles_.push_back(RoleOf(frame, interpreters_));
  }
  return entry->second;
}

uint32_t Namer::InternSynthetic(std::string name) { return Intern(Synthetic(std::move(name))); }

void Namer::Name(const std::vector<Leaves>& stacks, SymbolizeFn symbolize,
                 PythonLinesFn python_lines, absl::FunctionRef<void(size_t, size_t)> progress) {
  std::vector<bool> seen(merged_.nodes().size()), wanted(merged_.locations().size());
  for (const Leaves& leaves : stacks) {
    for (const MergedNodeId leaf : {leaves.native, leaves.python, leaves.behalf}) {
      for (uint32_t node = leaf.value; node != 0 && !seen[node];
           node = merged_.nodes()[node].parent.value) {
        seen[node] = true;
        wanted[merged_.nodes()[node].location.value] = true;
      }
    }
  }
  // Locations by what they are in, and where in it; a boundary makes two locations of one place.
  using Places = std::map<uint64_t, std::vector<uint32_t>>;
  std::map<uint32_t, Places> modules, codes;
  for (uint32_t i = 0; i < wanted.size(); ++i) {
    const MergedStacks::Location& location = merged_.locations()[i];
    if (wanted[i])
      (location.python ? codes : modules)[location.owner][location.address].push_back(i);
  }

  size_t done = 0;
  for (const auto& [module, places] : modules) {
    std::vector<uint64_t> addresses;
    for (const auto& [address, locations] : places) addresses.push_back(address);
    const std::vector<std::vector<model::Frame>> named =
        module == 0
            ? std::vector<std::vector<model::Frame>>(addresses.size(), {Synthetic("[anonymous]")})
            : symbolize(merged_.modules()[module], addresses);
    NameNative(places, named);
    progress(++done, modules.size());
  }
  for (const auto& [code, places] : codes) {
    std::vector<uint32_t> instructions;
    for (const auto& [instruction, locations] : places)
      instructions.push_back(static_cast<uint32_t>(instruction));
    std::vector<uint32_t> lines(instructions.size());
    if (code != 0) lines = python_lines(*merged_.codes()[code], instructions);
    size_t i = 0;
    for (const auto& [instruction, locations] : places) {
      const uint32_t frame = Intern(code == 0 ? Synthetic(std::string(kUnknownCode))
                                              : PythonFrame(*merged_.codes()[code], lines[i]));
      for (const uint32_t location : locations) frames_at_[location] = {frame};
      ++i;
    }
  }
}

void Namer::NameNative(const std::map<uint64_t, std::vector<uint32_t>>& places,
                       const std::vector<std::vector<model::Frame>>& named) {
  size_t i = 0;
  for (const auto& [address, locations] : places) {
    for (const uint32_t location : locations)
      for (const model::Frame& frame : named[i]) frames_at_[location].push_back(Intern(frame));
    ++i;
  }
}

bool Namer::Append(const Leaves& leaves, Native native, bool internals,
                   std::vector<model::FrameId>* frames) {
  const std::vector<MergedStacks::Node>& nodes = merged_.nodes();
  const auto is_boundary = [&](uint32_t node) {
    return merged_.locations()[nodes[node].location.value].boundary;
  };
  locations_.clear();
  uint32_t python = leaves.python.value;
  const auto take_group = [&] {
    for (bool entry = false; !entry && python != 0; python = nodes[python].parent.value) {
      entry = is_boundary(python);
      locations_.push_back(nodes[python].location.value);
    }
  };
  for (uint32_t node = leaves.native.value; node != 0; node = nodes[node].parent.value) {
    const LocationId at = nodes[node].location;
    if (python != 0 && is_boundary(node)) {
      take_group();
    } else if (!own_[merged_.locations()[at.value].owner]) {
      locations_.push_back(at.value);
    }
  }
  const bool goes_on = python != 0;
  while (python != 0) take_group();
  const size_t own = locations_.size();
  for (uint32_t node = leaves.behalf.value; node != 0; node = nodes[node].parent.value)
    locations_.push_back(nodes[node].location.value);

  ids_.clear();
  stack_roles_.clear();
  for (size_t i = locations_.size(); i > own; --i) {
    for (const uint32_t id : frames_at_[locations_[i - 1]]) {
      model::Frame frame = *frames_[id];
      if (frame.kind == model::Frame::Kind::kPython) frame.kind = model::Frame::Kind::kBehalf;
      ids_.push_back(Intern(frame));
      stack_roles_.push_back(roles_[ids_.back()]);
    }
  }
  locations_.resize(own);
  for (auto location = locations_.rbegin(); location != locations_.rend(); ++location) {
    const std::vector<uint32_t>& at = frames_at_[*location];
    for (auto frame = at.rbegin(); frame != at.rend(); ++frame) {
      ids_.push_back(*frame);
      stack_roles_.push_back(roles_[*frame]);
    }
  }
  for (const uint32_t shown : Fold(stack_roles_, native, internals))
    frames->push_back(
        {shown == kImportFrame ? InternSynthetic(std::string(kImport)) : ids_[shown]});
  return goes_on || (leaves.behalf.value == 0 && IsGreenlets(stack_roles_));
}

std::vector<const model::Frame*> Namer::Frames(const std::vector<model::FrameId>& ids) const {
  std::vector<const model::Frame*> frames;
  frames.reserve(ids.size());
  for (const model::FrameId id : ids) frames.push_back(frames_[id.value]);
  return frames;
}

void Namer::Finish(model::Profile* profile) {
  std::vector<bool> used(index_.size());
  for (const model::Sample& sample : profile->samples)
    for (const model::FrameId frame : sample.frames) used[frame.value] = true;
  std::vector<uint32_t> renumbered(index_.size());
  for (const auto& [frame, id] : index_) {
    if (!used[id]) continue;  // folded away everywhere
    renumbered[id] = static_cast<uint32_t>(profile->frames.size());
    profile->frames.push_back(frame);
  }
  for (model::Sample& sample : profile->samples)
    for (model::FrameId& frame : sample.frames) frame.value = renumbered[frame.value];
}

}  // namespace heapecho::aggregator

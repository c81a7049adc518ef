// SPDX-License-Identifier: Apache-2.0
// The stacks of many recordings in one prefix tree; the contract is in the header.
#include "analyzer/aggregator/merged_stacks.h"

#include <algorithm>

namespace heapecho::aggregator {
namespace {

constexpr uint32_t kUnknown = UINT32_MAX;

}  // namespace

MergedStacks::MergedStacks() : modules_(1), interpreters_(1), codes_(1), nodes_(1) {}

uint32_t MergedStacks::AddModule(const model::Module& module, const std::string& executable) {
  const std::string& path = module.path.empty() ? executable : module.path;
  const auto [entry, is_new] =
      module_index_.try_emplace({path, module.build_id}, static_cast<uint32_t>(modules_.size()));
  if (is_new) {
    modules_.push_back(module);
    modules_.back().path = path;
    interpreters_.push_back(false);
  }
  return entry->second;
}

uint32_t MergedStacks::AddCode(const model::PythonCode& code) {
  const auto [entry, is_new] = code_index_.try_emplace(code, static_cast<uint32_t>(codes_.size()));
  if (is_new) codes_.push_back(&entry->first);
  return entry->second;
}

MergedNodeId MergedStacks::AddNode(MergedNodeId parent, Location location) {
  if (location.owner == 0) location.address = 0;
  const auto [known, is_new_location] = location_index_.try_emplace(
      {location.python, location.boundary, location.owner, location.address},
      static_cast<uint32_t>(locations_.size()));
  if (is_new_location) locations_.push_back(location);
  const auto [node, is_new_node] =
      node_index_.try_emplace({parent.value, known->second}, static_cast<uint32_t>(nodes_.size()));
  if (is_new_node) nodes_.push_back({parent, {known->second}});
  return {node->second};
}

MergedStacks::Importer::Importer(MergedStacks* merged, const Frames& frames)
    : merged_(merged),
      frames_(frames),
      codes_(frames.code.size(), kUnknown),
      known_native_(std::max<size_t>(frames.native.size(), 1), kUnknown),
      known_python_(std::max<size_t>(frames.python.size(), 1), kUnknown) {
  known_native_[0] = 0;
  known_python_[0] = 0;
  modules_.reserve(frames.modules.size());
  for (const model::Module& module : frames.modules)
    modules_.emplace_back(module.id, merged->AddModule(module, frames.executable));
  std::sort(modules_.begin(), modules_.end());
}

uint32_t MergedStacks::Importer::ModuleOf(uint16_t id) const {
  const auto it =
      std::lower_bound(modules_.begin(), modules_.end(), std::pair<uint16_t, uint32_t>(id, 0));
  return it != modules_.end() && it->first == id && id != 0 ? it->second : 0;
}

uint32_t MergedStacks::Importer::CodeOf(uint32_t code) {
  if (code == 0) return 0;
  if (codes_[code] == kUnknown) codes_[code] = merged_->AddCode(frames_.code[code]);
  return codes_[code];
}

MergedStacks::Location MergedStacks::Importer::LocationOf(const model::Node& node) {
  const uint32_t module = ModuleOf(node.module);
  if (node.evaluates_python) merged_->interpreters_[module] = true;
  return {
      .python = false, .boundary = node.evaluates_python, .owner = module, .address = node.address};
}

MergedStacks::Location MergedStacks::Importer::LocationOf(const model::PythonNode& node) {
  return {.python = true,
          .boundary = node.group_entry,
          .owner = CodeOf(node.code),
          .address = node.instruction};
}

template <typename AnyNode>
MergedNodeId MergedStacks::Importer::Import(const std::vector<AnyNode>& nodes, uint32_t node,
                                            std::vector<uint32_t>* known) {
  path_.clear();
  for (; (*known)[node] == kUnknown; node = nodes[node].parent) path_.push_back(node);
  MergedNodeId merged{(*known)[node]};
  for (auto it = path_.rbegin(); it != path_.rend(); ++it) {
    merged = merged_->AddNode(merged, LocationOf(nodes[*it]));
    (*known)[*it] = merged.value;
  }
  return merged;
}

MergedNodeId MergedStacks::Importer::ImportNative(uint32_t node) {
  return Import(frames_.native, node, &known_native_);
}

MergedNodeId MergedStacks::Importer::ImportPython(uint32_t node) {
  return Import(frames_.python, node, &known_python_);
}

}  // namespace heapecho::aggregator

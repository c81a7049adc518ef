// SPDX-License-Identifier: Apache-2.0
// The stacks of many recordings in one prefix tree; the contract is in the header.
#include "analyzer/aggregator/merged_stacks.h"

#include <algorithm>

namespace heapecho::aggregator {
namespace {

constexpr uint32_t kUnknown = UINT32_MAX;

}  // namespace

MergedStacks::MergedStacks() : modules_(1), nodes_(1) {}

uint32_t MergedStacks::AddModule(const model::Module& module, const std::string& executable) {
  const std::string& path = module.path.empty() ? executable : module.path;
  const auto [entry, is_new] =
      module_index_.try_emplace({path, module.build_id}, static_cast<uint32_t>(modules_.size()));
  if (is_new) {
    modules_.push_back(module);
    modules_.back().path = path;
  }
  return entry->second;
}

MergedNodeId MergedStacks::AddNode(MergedNodeId parent, uint32_t module, uint64_t address) {
  if (module == 0) address = 0;
  const auto [location, is_new_location] =
      location_index_.try_emplace({module, address}, static_cast<uint32_t>(locations_.size()));
  if (is_new_location) locations_.push_back({module, address});
  const auto [node, is_new_node] = node_index_.try_emplace({parent.value, location->second},
                                                           static_cast<uint32_t>(nodes_.size()));
  if (is_new_node) nodes_.push_back({parent, {location->second}});
  return {node->second};
}

MergedStacks::Importer::Importer(MergedStacks* merged, const std::vector<model::Module>& modules,
                                 const std::vector<model::Node>& nodes,
                                 const std::string& executable)
    : merged_(merged), nodes_(nodes), known_(std::max<size_t>(nodes.size(), 1), kUnknown) {
  known_[0] = 0;
  modules_.reserve(modules.size());
  for (const model::Module& module : modules)
    modules_.emplace_back(module.id, merged->AddModule(module, executable));
  std::sort(modules_.begin(), modules_.end());
}

uint32_t MergedStacks::Importer::ModuleOf(uint16_t id) const {
  const auto it =
      std::lower_bound(modules_.begin(), modules_.end(), std::pair<uint16_t, uint32_t>(id, 0));
  return it != modules_.end() && it->first == id && id != 0 ? it->second : 0;
}

MergedNodeId MergedStacks::Importer::Import(uint32_t node) {
  path_.clear();
  for (; known_[node] == kUnknown; node = nodes_[node].parent) path_.push_back(node);
  MergedNodeId merged{known_[node]};
  for (auto it = path_.rbegin(); it != path_.rend(); ++it) {
    merged = merged_->AddNode(merged, ModuleOf(nodes_[*it].module), nodes_[*it].address);
    known_[*it] = merged.value;
  }
  return merged;
}

}  // namespace heapecho::aggregator

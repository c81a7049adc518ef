// SPDX-License-Identifier: Apache-2.0
// Chains of nodes, native or Python ones, made to end at the root within model::kMaxFrames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "analyzer/model/recording.h"
#include "analyzer/reader/complaints.h"

namespace heapecho::reader {

// Cuts chains that are circles, too long, or lead to a node that `is_written` says was never
// written; such a node itself becomes an outermost one. Returns, by node, whether the chain from it
// outwards misses frames. `is_written` is asked of any index, also of one that is beyond `nodes`,
// and must not depend on parents.
template <typename AnyNode>
std::vector<bool> RepairChains(std::vector<AnyNode>& nodes,
                               absl::FunctionRef<bool(uint64_t index)> is_written,
                               Complaints& complaints) {
  constexpr uint16_t kUnseen = 0xffff, kOnPath = 0xfffe;
  static_assert(model::kMaxFrames < kOnPath);
  std::vector<uint16_t> depth(nodes.size(), kUnseen);
  std::vector<bool> cut(nodes.size(), false);
  depth[0] = 0;
  std::vector<uint32_t> path;
  for (uint64_t i = 1; i < nodes.size(); ++i) {
    uint32_t at = static_cast<uint32_t>(i);
    while (depth[at] == kUnseen) {
      depth[at] = kOnPath;
      path.push_back(at);
      AnyNode& node = nodes[at];
      if (!is_written(at)) {
        node.parent = 0;
      } else if (!is_written(node.parent)) {
        complaints.Count("frames name a caller that is not there; their stacks end at them");
        node.parent = 0;
        cut[at] = true;
      } else if (depth[node.parent] == kOnPath) {
        complaints.Count("frames call themselves in a circle; their stacks end at them");
        node.parent = 0;
        cut[at] = true;
      }
      at = node.parent;
    }
    for (; !path.empty(); path.pop_back()) {
      const uint32_t node = path.back();
      const uint32_t parent = nodes[node].parent;
      if (cut[parent]) cut[node] = true;
      if (depth[parent] == model::kMaxFrames) {
        complaints.Count("frames lie deeper than stacks can be; their stacks end at them");
        nodes[node].parent = 0;
        cut[node] = true;
        depth[node] = 1;
      } else {
        depth[node] = static_cast<uint16_t>(depth[parent] + 1);
      }
    }
  }
  return cut;
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// A profile's stacks as one tree; the contract is in the header.
#include "analyzer/output/frame_tree.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

struct Frames {
  std::vector<TreeFrame> merged;
  std::vector<uint32_t> of_profile;  // index into merged, for each of the profile's frames
  std::vector<uint32_t> as_caller;   // the same for one that IsCallerOnBehalf
};

// Whether the frame is one on whose behalf another thread worked, and called the one that handed
// the work over. It is the same there as in its own thread's stacks, so the tree has it once; what
// was done elsewhere branches off at the innermost such frame.
bool IsCallerOnBehalf(const model::Profile& profile, const model::Sample& sample, size_t i) {
  const auto on_behalf = [&](size_t at) {
    return profile.frames[sample.frames[at].value].kind == model::Frame::Kind::kBehalf;
  };
  return i + 1 < sample.frames.size() && on_behalf(i) && on_behalf(i + 1);
}

// Profile::frames is sorted and a line is no part of what is compared first, so equal frames need
// not be neighbours: order them without their lines.
Frames MergeFrames(const model::Profile& profile, bool lines) {
  const std::vector<model::Frame>& frames = profile.frames;
  std::vector<bool> calls(frames.size());
  for (const model::Sample& sample : profile.samples)
    for (size_t i = 0; i < sample.frames.size(); ++i)
      if (IsCallerOnBehalf(profile, sample, i)) calls[sample.frames[i].value] = true;

  struct Entry {
    model::Frame frame;
    uint32_t index;
    bool as_caller;
    auto operator<=>(const Entry&) const = default;
  };
  std::vector<Entry> order;
  order.reserve(frames.size());
  for (uint32_t i = 0; i < frames.size(); ++i) {
    model::Frame frame = frames[i];
    if (!lines) frame.line = 0;
    order.push_back({frame, i, false});
    if (!calls[i]) continue;
    frame.kind = model::Frame::Kind::kPython;
    order.push_back({std::move(frame), i, true});
  }
  std::sort(order.begin(), order.end());

  Frames out;
  out.of_profile.resize(frames.size());
  out.as_caller.resize(frames.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& [frame, index, as_caller] = order[i];
    const uint32_t line = frames[index].line;
    if (i == 0 || frame != order[i - 1].frame) {
      out.merged.push_back({frame, 0});
      out.merged.back().frame.line = 0;
    }
    TreeFrame& merged = out.merged.back();
    if (line != 0) {
      merged.frame.line = merged.last_line == 0 ? line : std::min(merged.frame.line, line);
      merged.last_line = std::max(merged.last_line, line);
    }
    (as_caller ? out.as_caller : out.of_profile)[index] =
        static_cast<uint32_t>(out.merged.size() - 1);
  }
  return out;
}

struct Building {
  uint32_t frame = 0;
  uint32_t parent = 0;
  model::Estimate self{}, total{};
  double width = 0;
  model::Estimate self_before{}, total_before{};
};

// Children of each node, widest first.
std::vector<std::vector<uint32_t>> OrderedChildren(const std::vector<Building>& nodes) {
  std::vector<std::vector<uint32_t>> children(nodes.size());
  for (uint32_t i = 1; i < nodes.size(); ++i) children[nodes[i].parent].push_back(i);
  for (std::vector<uint32_t>& siblings : children) {
    std::sort(siblings.begin(), siblings.end(), [&](uint32_t a, uint32_t b) {
      if (nodes[a].width != nodes[b].width) return nodes[a].width > nodes[b].width;
      return nodes[a].frame < nodes[b].frame;
    });
  }
  return children;
}

}  // namespace

FrameTree BuildFrameTree(const model::Profile& profile, model::Unit unit, bool lines) {
  Frames frames = MergeFrames(profile, lines);

  std::vector<Building> building(1);
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> child_of;  // (node, frame) to node
  for (const model::Sample& sample : profile.samples) {
    uint32_t at = 0;
    for (size_t i = 0; i < sample.frames.size(); ++i) {
      const uint32_t id = sample.frames[i].value;
      const uint32_t frame =
          IsCallerOnBehalf(profile, sample, i) ? frames.as_caller[id] : frames.of_profile[id];
      const auto [found, is_new] =
          child_of.try_emplace({at, frame}, static_cast<uint32_t>(building.size()));
      if (is_new) building.push_back({.frame = frame, .parent = at});
      at = found->second;
    }
    building[at].self += sample.estimate;
    building[at].self_before += sample.before;
  }
  // A child is made after its parent, so going backwards meets every child before its parent.
  for (size_t i = building.size(); i-- > 0;) {
    Building& node = building[i];
    node.total += node.self;
    node.total_before += node.self_before;
    node.width += std::max(AmountOf(node.self, unit), AmountOf(node.self_before, unit));
    if (i == 0) break;
    Building& parent = building[node.parent];
    parent.total += node.total;
    parent.total_before += node.total_before;
    parent.width += node.width;
  }

  FrameTree tree;
  tree.frames = std::move(frames.merged);
  tree.nodes.reserve(building.size());
  const std::vector<std::vector<uint32_t>> children = OrderedChildren(building);
  // An explicit stack: a path may be as deep as a recording says, which is nobody's call stack to
  // risk.
  struct Visit {
    uint32_t node;
    uint32_t placed;  // where it stands in tree.nodes
    size_t next_child;
  };
  std::vector<Visit> path;
  const auto place = [&](uint32_t node) {
    const auto placed = static_cast<uint32_t>(tree.nodes.size());
    const auto depth = static_cast<uint32_t>(path.size());
    const uint32_t parent = path.empty() ? 0 : path.back().placed;
    const Building& built = building[node];
    tree.nodes.push_back({.frame = built.frame,
                          .parent = parent,
                          .depth = depth,
                          .end = 0,
                          .self = built.self,
                          .total = built.total,
                          .width = built.width,
                          .self_before = built.self_before,
                          .total_before = built.total_before});
    tree.max_depth = std::max(tree.max_depth, depth);
    path.push_back({node, placed, 0});
  };
  place(0);
  while (!path.empty()) {
    Visit& visit = path.back();
    if (visit.next_child < children[visit.node].size()) {
      place(children[visit.node][visit.next_child++]);
    } else {
      tree.nodes[visit.placed].end = static_cast<uint32_t>(tree.nodes.size());
      path.pop_back();
    }
  }
  return tree;
}

std::string SourceOf(const TreeFrame& frame) {
  if (frame.frame.file.empty() || frame.frame.line == 0) return frame.frame.file;
  if (frame.frame.line == frame.last_line)
    return absl::StrCat(frame.frame.file, ":", frame.last_line);
  return absl::StrCat(frame.frame.file, ":", frame.frame.line, "–", frame.last_line);
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// A profile's stacks as one tree of boxes in drawing order: what both flame graphs draw.
// Built once, plain data afterwards. Deterministic for equal profiles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/model/profile.h"

namespace heapecho::output {

// What is told apart on the picture: frames that differ in line alone are one, unless lines are
// wanted.
struct TreeFrame {
  model::Frame frame;      // line: the lowest seen
  uint32_t last_line = 0;  // the highest seen; 0: no line is known
};

struct TreeNode {
  uint32_t frame = 0;     // index into FrameTree::frames; meaningless for the root
  uint32_t parent = 0;    // index of an earlier node; the root is its own
  uint32_t depth = 0;     // the root's is 0
  uint32_t end = 0;       // nodes [this + 1, end) lie below this one
  model::Estimate self;   // of stacks that end here
  model::Estimate total;  // self and everything below
  double width = 0;  // what the box stands for, in the tree's unit; of a comparison, the larger
                     //   of before and after, stack by stack, so that nothing disappears
  model::Estimate self_before, total_before;  // of a comparison
};

struct FrameTree {
  std::vector<TreeFrame> frames;
  // Preorder. nodes[0] stands for everything. Siblings come widest first, ties by frame,
  // so that what is too small to be drawn lies together at the end.
  std::vector<TreeNode> nodes;
  uint32_t max_depth = 0;
};

FrameTree BuildFrameTree(const model::Profile& profile, model::Unit unit, bool lines);

// "views.py:88", "views.py:88–97", "views.py" or "": where the frame is in the source, path
// included.
std::string SourceOf(const TreeFrame& frame);

}  // namespace heapecho::output

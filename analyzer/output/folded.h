// SPDX-License-Identifier: Apache-2.0
// A profile as folded lines, the form that flame graph tools of every kind read:
//   root;...;leaf amount
// Native frames are `symbol (module.so)`, Python frames `qualname (file.py)`, with lines
// `qualname (file.py:12)`. A semicolon in a name becomes a colon and a line break a space, since
// either would end a frame. Amounts are whole; stacks that round to nothing are left out.
// Of a comparison the growth, where it is one. Sorted by
// text. Pure; equal arguments give equal bytes.
#pragma once

#include <string>

#include "analyzer/model/profile.h"

namespace heapecho::output {

struct FoldedOptions {
  model::Unit unit = model::Unit::kBytes;
  bool lines = false;
};

std::string Folded(const model::Profile& profile, const FoldedOptions& options);

// One frame as it stands in a folded line.
std::string FoldedFrame(const model::Frame& frame, bool lines);

}  // namespace heapecho::output

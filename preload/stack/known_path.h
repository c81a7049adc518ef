// SPDX-License-Identifier: Apache-2.0
// The way that one stack took through the prefix trees, for the next one: most of a stack is what it was. A frame that is
// on it costs a comparison in memory that is read in order; one that is looked up, a cache line of the tree's hash and one
// of its nodes.
#pragma once

#include <cstdint>

#include "preload/stack/python_walk.h"
#include "preload/wire/format.h"

namespace heapecho::stack {

// Frames from the outermost on, each by a number that is its own, and their nodes. Zero-initialised: none.
template <uint32_t kRoom>
class KnownWay {
 public:
  // The node of the frame at `depth`, if it and all outside of it are the known ones. 0: not, and the way ends there from
  // now on, to be appended to. To be asked for each depth from 0 on.
  uint32_t Find(uint32_t depth, uint64_t frame) {
    if (depth < count_ && frames_[depth] == frame) return nodes_[depth];
    if (depth < count_) count_ = depth;
    return 0;
  }
  void Append(uint32_t depth, uint64_t frame, uint32_t node) {
    if (depth != count_ || depth == kRoom) return;
    frames_[depth] = frame;
    nodes_[depth] = node;
    ++count_;
  }
  void Forget() { count_ = 0; }

 private:
  uint32_t count_;
  uint32_t nodes_[kRoom];
  uint64_t frames_[kRoom];
};

// Both ways of a stack. One thread's at a time.
class KnownPath {
 public:
  KnownWay<wire::kMaxNativeFrames> native;
  KnownWay<kMaxPythonFrames> python;

  void Forget() {
    native.Forget();
    python.Forget();
  }
  // Of another `time` than the last: what was known is void.
  void BeginAt(uint64_t time) {
    if (time != time_) Forget();
    time_ = time;
  }

 private:
  uint64_t time_;
};

}  // namespace heapecho::stack

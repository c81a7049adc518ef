// SPDX-License-Identifier: Apache-2.0
// Compares our walk of the calling thread's stack with libunwind's, frame by frame.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/stack/native_unwinder.h"

namespace heapecho::testing {

// By the rows that all share, and by those that the last comparison knew.
inline constexpr uint64_t kWalksAComparison = 2;

struct Comparison {
  bool same;
  uint32_t frames;  // of our walk, the comparing function's own first
  bool broken;      // as our walk says
  bool truncated;
  uint32_t signal_frames;  // as libunwind says
  char difference[1536];   // what differs, for a person; empty when the same
};

// Both walks begin in this function. They are the same when every frame's address and CFA are
// equal, both reach the outermost frame, and our frames after a signal frame are exact addresses.
// Where both fail to go on at the same frame and ours says broken, that is the same as well.
Comparison CompareWithLibunwind();

// As above with room for `room` frames in our walk: the same when what fits is equal and the rest
// is marked.
Comparison CompareWithLibunwind(size_t room);

}  // namespace heapecho::testing

// SPDX-License-Identifier: Apache-2.0
// The colour of a frame, by what it belongs to. Pure; the same name has the same colour in every
// picture.
#pragma once

#include <cstdint>

#include "analyzer/model/profile.h"

namespace heapecho::output {

// The same library (native) or file (Python) has the same hue. Python frames are cool hues, native
// ones warm hues; the interpreter and libc, which are on most stacks and rarely the answer, are
// muted.
struct FrameColor {
  uint16_t hue = 0;        // degrees
  uint8_t saturation = 0;  // percent
  int8_t lightness = 0;    // percent points to add to the theme's lightness; tells neighbours apart
};
FrameColor ColorOf(const model::Frame& frame);

// In a comparison: red for what grew, blue for what shrank, the fuller the more of the box that is
// and the surer; grey where the errors allow it to be chance. `share`: the step as a part of the
// box, in [-1, 1]; `sigmas`: the step in standard errors. flamegraph.js says the same.
FrameColor ColorOfChange(double share, double sigmas);

}  // namespace heapecho::output

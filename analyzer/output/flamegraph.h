// SPDX-License-Identifier: Apache-2.0
// A profile as a picture: an interactive page of one HTML file, or an SVG that needs no script.
// Of a comparison boxes are as wide as the larger of before and after, red where it grew, blue where
// it shrank. Pure functions; equal arguments give equal bytes. Nothing in a name can become markup
// or script.
#pragma once

#include <string>
#include <vector>

#include "analyzer/model/profile.h"

namespace heapecho::output {

// "1.96 GiB ± 12.0 MiB live"; of a comparison "live: +60.0 MiB ± 8.00 MiB".
std::string FlamegraphHeadline(const model::Profile& profile, model::Unit unit);

struct FlamegraphOptions {
  model::Unit unit = model::Unit::kBytes;
  bool lines = false;                  // frames that differ in line alone are boxes of their own
  std::string scope;                   // one sentence under the headline: whose memory this is
  std::vector<std::string> processes;  // a line for each recording that is in the picture
};

// One file without any reference to another: works from file:// and by mail. Its content security
// policy admits the one script that is built in and nothing else. Drawn on a canvas of the window's
// size: a profile of twenty thousand stacks has more boxes than elements would bear, and those too
// narrow to see are not drawn at all.
std::string FlamegraphHtml(const model::Profile& profile, const FlamegraphOptions& options);

// Drawn once at a fixed width; each box has its name and figures as a <title>. Boxes narrower than
// half a unit of its width are left out.
std::string FlamegraphSvg(const model::Profile& profile, const FlamegraphOptions& options);

}  // namespace heapecho::output

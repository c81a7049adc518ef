// SPDX-License-Identifier: Apache-2.0
// What only grows: what each look at the process found there was never less than before, and the
// growth did not stop. Stacks that have one innermost function of the application's own Python code
// in common are looked at together. A stack that a point does not list is taken to hold what it
// held when it was listed last.
//
// A group is one if, over the points of the history, from the first that lists it to the last:
//   - there are eight of them at least, over half a minute at least;
//   - it rose by 4 MiB, by a quarter of what it held, and by four standard errors of the rise (what
//     is there at both ends is the same samples, so only what came has an error);
//   - no point lies below an earlier one by more than a twentieth of the rise and three standard
//     errors of what it says;
//   - it rose in each third of the time, by a tenth of the rise at least: what a service builds up
//     when it starts is no leak.
#pragma once

#include <cstdint>
#include <vector>

#include "analyzer/model/recording.h"

namespace heapecho::aggregator {

struct SteadyStack {
  model::StackId stack;             // the largest of the group at the end
  uint64_t from_ns = 0, to_ns = 0;  // monotonic
  double before = 0, after = 0;     // bytes
  double error = 0;                 // of the rise, one standard error
  size_t looks = 0;
};

// Those that rose most first; equal ones by stack.
std::vector<SteadyStack> FindSteadyGrowth(const std::vector<model::HistoryPoint>& history,
                                          const std::vector<model::Stack>& stacks,
                                          const std::vector<model::PythonNode>& python_nodes,
                                          const std::vector<model::PythonCode>& python_code);

}  // namespace heapecho::aggregator

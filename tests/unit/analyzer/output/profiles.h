// SPDX-License-Identifier: Apache-2.0
// Profiles made by hand, for the tests of the outputs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/model/profile.h"

namespace heapecho::output {

// A stack as a test writes it: frames root first, and what it is estimated at.
struct HandMadeStack {
  std::vector<model::Frame> frames;
  model::Estimate estimate;
  model::Domain domain = model::Domain::kMalloc;
};

// Keeps the promises of profile.h: frames sorted and unique, samples sorted and unique, totals
// summed.
model::Profile MakeProfile(std::vector<HandMadeStack> stacks,
                           model::Value value = model::Value::kLive);

model::Frame Native(std::string function, std::string module, std::string file = "",
                    uint32_t line = 0);
model::Frame Python(std::string function, std::string file, uint32_t line = 0);

// A comparison: main() calls gone(), grows() and stays(), with 1 MiB, 1 MiB and 2 MiB before, 0, 4 MiB
// and 2.25 MiB after; the step of the last is half its error.
model::Profile ChangedProfile();

// A Django view that reads parquet through pyarrow, a leaking cache and a JSON response, in two
// workers: some thirty stacks of up to fifty frames with all kinds of them.
model::Profile ServiceProfile();

// `stacks` pseudo-random stacks over a few thousand functions, `depth` frames deep at most; always
// the same.
model::Profile LargeProfile(uint32_t stacks, uint32_t depth);

}  // namespace heapecho::output

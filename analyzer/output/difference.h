// SPDX-License-Identifier: Apache-2.0
// A comparison of two sets of recordings: what changed, by how much, and how sure that is. As text
// for people, as JSON for programs, as folded lines for other flame graph tools. Pure functions;
// deterministic to the byte. Its flame graph is output/flamegraph.h, given the profile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "analyzer/model/difference.h"

namespace heapecho::output {

struct DifferenceOptions {
  size_t top = 10;    // functions shown
  size_t frames = 8;  // frames shown of each one's site that changed most
};
std::string DifferenceText(const model::Difference& difference,
                           const DifferenceOptions& options = {});

// Schema 1: {schema, unit, per, scale, before and after {recordings, scope, units, total}, total,
// functions[], sites[], warnings[]}. Of the sites the `top` that changed most.
std::string DifferenceJson(const model::Difference& difference, size_t top = SIZE_MAX);

// "root;...;leaf before after": what differential flame graphs are made of. Rounded; stacks that
// are nothing on both sides are left out. Sorted by text.
std::string DifferenceFolded(const model::Difference& difference, bool lines);

// "grown by 60.0 MiB ± 8.00 MiB (+50.0 %), 7.5 standard errors" of a step whose verdict is known.
std::string StepText(const model::Step& step, model::Change change, double before, double after,
                     model::Unit unit);

}  // namespace heapecho::output

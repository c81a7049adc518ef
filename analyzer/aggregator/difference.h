// SPDX-License-Identifier: Apache-2.0
// Two profiles to one comparison: the stacks of both, side by side, and which functions changed.
#pragma once

#include "analyzer/model/difference.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/report.h"

namespace heapecho::aggregator {

struct CompareOptions {
  model::Unit unit = model::Unit::kBytes;
  // Tell lines of one function apart. Between two versions of a program lines move, and with them
  // everything would be new and gone.
  bool lines = false;
};

// `after` is multiplied by before.units / after.units (both above 0), its errors with it: what it
// would be if it had had as many requests, seconds or processes. Takes of the sides what
// model::Difference::Side has; scopes, units and `per` are the caller's.
struct ComparedSide {
  model::Report report;
  model::Difference::Side side;  // scope and units
};
model::Difference Compare(ComparedSide before, ComparedSide after, const CompareOptions& options);

// The stacks of both, with what each was before and after.
model::Profile ComparedProfile(const model::Profile& before, const model::Profile& after,
                               bool lines, double scale_after);

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
// How sure a difference of two sampled amounts is.
//
// Each amount is an unbiased estimate and each has an unbiased estimate of its variance, so the
// variance of the difference is estimated without bias by their sum, also where nothing of one side
// was sampled: one sampled block that is new is one standard error, and no news. The difference of
// enough samples is normal. Of few it is not, and the bounds used here are those of lists of many
// sites, four standard errors and more, where the normal's odds are the larger ones (16 samples
// against none: 1 to 32,768 by counting, 1 to 15,787 by the normal).
//
// Only sampling is accounted for. What differs because two runs did different work really differs.
#pragma once

#include "analyzer/model/difference.h"
#include "analyzer/model/profile.h"

namespace heapecho::aggregator {

// The x that a standard normal exceeds with this probability, 0 < probability <= 0.5.
double SigmasExceededWith(double probability);

// After less before.
model::Step StepOf(const model::Estimate& before, const model::Estimate& after, model::Unit unit);

// kSame where the step is less than `sigmas` standard errors.
model::Change ChangeOf(const model::Estimate& before, const model::Estimate& after,
                       model::Unit unit, double sigmas);

}  // namespace heapecho::aggregator

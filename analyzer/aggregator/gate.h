// SPDX-License-Identifier: Apache-2.0
// A bound on what may grow between two runs, and whether it was kept: the standard error decides.
//
// A bound fails only where the excess is more than sampling could have made. With E the estimate of
// (after - bound), bound = before * (1 + percent / 100) or before + amount, and s its standard
// error, it fails when E > z s, where the standard normal exceeds z with a probability of 1 / odds.
// So a program whose true growth is exactly the bound fails in 1 of `odds` checks, one that grows
// less in fewer.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "analyzer/model/profile.h"

namespace heapecho::aggregator {

struct Bound {
  std::string text;                          // as it was given
  model::Value value = model::Value::kLive;  // what it bounds
  double percent = 0;                        // of what was before
  double bytes = 0;                          // or so many more
};

// "live+10%", "peak+64MiB", several separated by commas. Sizes are bytes, or take K, M, G, KiB,
// MiB, GiB. Errors name the part that is wrong.
absl::StatusOr<std::vector<Bound>> ParseBounds(absl::string_view text);

struct BoundResult {
  double allowed = 0;     // bytes: the bound
  double excess = 0;      // bytes above it; negative: below
  double error = 0;       // one standard error of the excess
  double detectable = 0;  // bytes: the growth from `before` on that would have failed in
                          //   all but 1 of `odds` checks
  bool failed = false;
};
BoundResult Judge(const Bound& bound, const model::Estimate& before, const model::Estimate& after,
                  double odds);

}  // namespace heapecho::aggregator

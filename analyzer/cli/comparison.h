// SPDX-License-Identifier: Apache-2.0
// What `diff` and `check` have in common: two operands, what is to be normalised, and the way from
// there to a comparison.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analyzer/cli/arguments.h"
#include "analyzer/cli/profile_request.h"
#include "analyzer/model/difference.h"

namespace heapecho::cli {

struct ComparisonRequest {
  ProfileRequest before, after;
  std::string per;                                 // as model::Difference::per
  double requests_before = 1, requests_after = 1;  // of per "requests"
};

// The options of both, those of a profile included, followed by `own` ones of the command.
std::vector<Option> WithComparisonOptions(std::vector<Option> own);

// Errors name the option and its value.
absl::StatusOr<ComparisonRequest> ParseComparisonRequest(const Arguments& arguments);

// Reads both sides; errors as LoadReport's.
absl::StatusOr<model::Difference> LoadDifference(const ComparisonRequest& request);

}  // namespace heapecho::cli

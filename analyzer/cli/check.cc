// SPDX-License-Identifier: Apache-2.0
// heapecho check: a gate for continuous integration, which the standard error decides.
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/aggregator/gate.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/comparison.h"
#include "analyzer/cli/console.h"
#include "analyzer/output/difference.h"
#include "analyzer/output/units.h"

namespace heapecho::cli {
namespace {

constexpr double kOdds = 100;

std::string ResultText(const aggregator::Bound& bound, const aggregator::BoundResult& result,
                       const model::Difference& difference, double odds) {
  const model::Profile& profile = difference.profile;
  return absl::StrFormat(
      "%-6s %s: %s before, %s after; %s %s, which has an error of %s\n"
      "       odds: growth of exactly the bound fails in 1 of %.0f checks; growth of %s passes in "
      "1 "
      "of %.0f\n",
      result.failed ? "FAILED" : "kept", bound.text,
      output::HumanEstimate(profile.total_before, model::Unit::kBytes),
      output::HumanEstimate(profile.total, model::Unit::kBytes),
      output::HumanBytes(std::abs(result.excess)),
      result.excess > 0 ? "above the bound" : "below the bound", output::HumanBytes(result.error),
      odds, output::HumanBytes(result.detectable), odds);
}

int Check(const Arguments& arguments) {
  const auto refuse = [](absl::string_view text) {
    return Fail(kBadInput, absl::StrCat("check: ", text));
  };
  absl::StatusOr<ComparisonRequest> request = ParseComparisonRequest(arguments);
  if (!request.ok()) return refuse(request.status().message());
  if (!arguments.Has("--fail"))
    return refuse("--fail is missing: say what may grow, as in live+10%");
  if (arguments.Has("--value")) return refuse("--value: what is compared stands in --fail");
  const absl::StatusOr<std::vector<aggregator::Bound>> bounds =
      aggregator::ParseBounds(arguments.Get("--fail"));
  if (!bounds.ok()) return refuse(absl::StrCat("--fail ", bounds.status().message()));
  double odds = kOdds;
  if (arguments.Has("--odds") &&
      (!absl::SimpleAtod(arguments.Get("--odds"), &odds) || !(odds >= 2) || !(odds <= 1e12))) {
    return refuse(absl::StrCat("--odds ", arguments.Get("--odds"), ": must be a number above 2"));
  }
  bool failed = false;
  std::string text;
  for (const aggregator::Bound& bound : *bounds) {
    request->before.options.value = request->after.options.value = bound.value;
    const absl::StatusOr<model::Difference> difference = LoadDifference(*request);
    // Without both sides there is no answer, and 1 would be one.
    if (!difference.ok()) return refuse(difference.status().message());
    const model::Profile& profile = difference->profile;
    if (profile.samples.empty()) return refuse(NothingToShow(request->after).message());
    const aggregator::BoundResult result =
        aggregator::Judge(bound, profile.total_before, profile.total, odds);
    absl::StrAppend(&text, ResultText(bound, result, *difference, odds));
    if (result.failed) {
      output::DifferenceOptions options;
      options.top = 5;
      absl::StrAppend(&text, "\n", output::DifferenceText(*difference, options), "\n");
    }
    failed = failed || result.failed;
  }
  const absl::Status status = WriteOutput(arguments.Get("-o"), text);
  if (!status.ok()) return refuse(status.message());
  return failed ? kNothing : kDone;
}

}  // namespace

Command CheckCommand() {
  return {"check",
          "BEFORE AFTER --fail live+10%[,peak+64MiB...]",
          "exit status 1 where AFTER holds more than it may, beyond the error of sampling",
          WithComparisonOptions(
              {{"--fail", "BOUNDS", "live, peak or allocated, a +, and a percentage or a size"},
               {"--odds", "N", "growth of exactly the bound fails in 1 of N checks; default 100"},
               {"-o", "FILE", "write there instead of to standard output"}}),
          Operands::kFiles,
          Check};
}

}  // namespace heapecho::cli

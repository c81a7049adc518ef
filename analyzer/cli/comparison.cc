// SPDX-License-Identifier: Apache-2.0
// Two operands to a comparison; the contract is in the header.
#include "analyzer/cli/comparison.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "analyzer/aggregator/difference.h"
#include "analyzer/output/report_times.h"

namespace heapecho::cli {
namespace {

absl::Status ParseNormalisation(const Arguments& arguments, ComparisonRequest* request) {
  if (arguments.Has("--per")) {
    const std::string per = arguments.Get("--per");
    if (per != "second" && per != "process") {
      return absl::InvalidArgumentError(
          absl::StrCat("--per ", per, ": must be one of second, process"));
    }
    request->per = per == "second" ? "seconds" : "processes";
  }
  if (!arguments.Has("--requests")) return absl::OkStatus();
  const std::string requests = arguments.Get("--requests");
  if (!request->per.empty()) {
    return absl::InvalidArgumentError("--per and --requests: give one of them");
  }
  request->per = "requests";
  const std::vector<std::string> counts = absl::StrSplit(requests, ',');
  if (counts.size() != 2 || !absl::SimpleAtod(counts[0], &request->requests_before) ||
      !absl::SimpleAtod(counts[1], &request->requests_after) || !(request->requests_before > 0) ||
      !(request->requests_after > 0) || !(request->requests_before < 1e300) ||
      !(request->requests_after < 1e300)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--requests ", requests, ": must be two numbers above 0, BEFORE,AFTER"));
  }
  return absl::OkStatus();
}

// From the first process's start to the last sign of life of any.
double SecondsOf(const model::Report& report) {
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  for (const model::ProcessSummary& process : report.processes) {
    first = std::min(first, output::StartedAt(process.recording));
    last = std::max(last, output::LastSeenAt(process.recording));
  }
  return report.processes.empty() ? 0 : absl::ToDoubleSeconds(last - first);
}

absl::StatusOr<aggregator::ComparedSide> LoadSide(const ProfileRequest& request,
                                                  const std::string& per, double requests) {
  absl::StatusOr<model::Report> report = LoadReport(request);
  if (!report.ok()) return report.status();
  model::Difference::Side side;
  side.scope = ScopeOf(*report, request);
  if (per == "requests") side.units = requests;
  if (per == "seconds") side.units = SecondsOf(*report);
  if (per == "processes") side.units = static_cast<double>(report->processes.size());
  if (!(side.units > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.paths.front(), ": nothing to divide by, no ", per));
  }
  return aggregator::ComparedSide{*std::move(report), std::move(side)};
}

}  // namespace

std::vector<Option> WithComparisonOptions(std::vector<Option> own) {
  std::vector<Option> options = {
      {"--per", "second|process", "normalise: by how long each side ran, or its processes"},
      {"--requests", "BEFORE,AFTER", "normalise: by the requests that each side answered"}};
  options.insert(options.end(), std::make_move_iterator(own.begin()),
                 std::make_move_iterator(own.end()));
  return WithProfileOptions(std::move(options));
}

absl::StatusOr<ComparisonRequest> ParseComparisonRequest(const Arguments& arguments) {
  if (arguments.operands().size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("give two recordings, or two directories of them, BEFORE and AFTER; ",
                     arguments.operands().size(),
                     arguments.operands().size() == 1 ? " was" : " were", " given"));
  }
  const absl::StatusOr<ProfileRequest> both = ParseProfileRequest(arguments);
  if (!both.ok()) return both.status();
  if (both->options.by == aggregator::By::kProcess || both->options.by == aggregator::By::kThread) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--by ", arguments.Get("--by"), ": two runs have no processes or threads in common"));
  }
  ComparisonRequest request;
  request.before = request.after = *both;
  request.before.paths = {arguments.operands()[0]};
  request.after.paths = {arguments.operands()[1]};
  if (const absl::Status status = ParseNormalisation(arguments, &request); !status.ok())
    return status;
  return request;
}

absl::StatusOr<model::Difference> LoadDifference(const ComparisonRequest& request) {
  absl::StatusOr<aggregator::ComparedSide> before =
      LoadSide(request.before, request.per, request.requests_before);
  if (!before.ok()) return before.status();
  absl::StatusOr<aggregator::ComparedSide> after =
      LoadSide(request.after, request.per, request.requests_after);
  if (!after.ok()) return after.status();
  model::Difference difference = aggregator::Compare(
      *std::move(before), *std::move(after), {request.after.options.unit, request.after.lines});
  difference.per = request.per;
  return difference;
}

}  // namespace heapecho::cli

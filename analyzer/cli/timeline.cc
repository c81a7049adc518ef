// SPDX-License-Identifier: Apache-2.0
// heapecho timeline: memory over time.
#include "analyzer/output/timeline.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "analyzer/aggregator/timeline.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/naming.h"
#include "analyzer/cli/profile_request.h"

namespace heapecho::cli {
namespace {

constexpr size_t kSites = 8;

absl::StatusOr<model::Timeline> LoadTimeline(const ProfileRequest& request, size_t sites) {
  Progress progress;
  aggregator::TimelineBuilder builder(sites, request.options.where);
  const auto left_out = ReadEach(request.paths, reader::Events::kCheck, &progress,
                                 [&](model::Recording recording, model::ProcessState state) {
                                   builder.Add(recording, state);
                                 });
  if (!left_out.ok()) return left_out.status();
  std::vector<std::string> warnings = *left_out;
  model::Timeline timeline = FinishNamed(builder, request.sysroot, &progress, &warnings);
  for (std::string& text : warnings) timeline.warnings.push_back(std::move(text));
  return timeline;
}

int Timeline(const Arguments& arguments) {
  const absl::StatusOr<ProfileRequest> request = ParseProfileRequest(arguments);
  if (!request.ok()) return FailWith(request.status());
  size_t sites = kSites;
  if (arguments.Has("--top") && !absl::SimpleAtoi(arguments.Get("--top"), &sites)) {
    return Fail(kBadInput, absl::StrCat("--top ", arguments.Get("--top"), ": must be a number"));
  }
  if (arguments.Has("--csv") && arguments.Has("--html")) {
    return Fail(kBadInput, "timeline: --csv and --html: give one of them");
  }
  const absl::StatusOr<model::Timeline> timeline = LoadTimeline(*request, sites);
  if (!timeline.ok()) return FailWith(timeline.status());
  size_t points = 0;
  for (const model::TimelineProcess& process : timeline->processes) points += process.points.size();
  if (points == 0) {
    return Fail(kNothing,
                absl::StrCat(request->paths.front(), ": nothing to show: no history was recorded"));
  }
  absl::Status status;
  if (arguments.Has("--csv")) {
    status = WriteOutput(arguments.Get("--csv"), output::TimelineCsv(*timeline));
  } else if (arguments.Has("--html")) {
    status = WriteOutput(arguments.Get("--html"), output::TimelineHtml(*timeline));
  } else {
    status = WriteOutput("", output::TimelineText(*timeline));
  }
  return status.ok() ? static_cast<int>(kDone) : Fail(kBadInput, status.message());
}

}  // namespace

Command TimelineCommand() {
  return {"timeline",
          "PATH... [--csv FILE | --html FILE]",
          "memory over time: resident, limit, live by domain and by the largest sites",
          {{"--csv", "FILE", "a line for each point of each process; - is standard output"},
           {"--html", "FILE", "a page with the curves"},
           {"--top", "N", "how many sites are told apart; default 8"},
           {"--where", "KEY=VALUE,...", "only pid=, host=; several of one key are alternatives"},
           {"--sysroot", "DIR", "where the recorded machine's libraries lie, for their symbols"}},
          Operands::kFiles,
          Timeline};
}

}  // namespace heapecho::cli

// SPDX-License-Identifier: Apache-2.0
// heapecho flamegraph: a picture in one file.
#include "analyzer/output/flamegraph.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/profile_request.h"

namespace heapecho::cli {
namespace {

int Flamegraph(const Arguments& arguments) {
  const absl::StatusOr<ProfileRequest> request = ParseProfileRequest(arguments);
  if (!request.ok()) return FailWith(request.status());
  const std::string file = arguments.Get("-o");
  const bool is_svg = absl::EndsWithIgnoreCase(file, ".svg");
  if (!is_svg && !absl::EndsWithIgnoreCase(file, ".html")) {
    return Fail(kBadInput, absl::StrCat("flamegraph: -o ", file.empty() ? "is missing" : file,
                                        ": name a FILE.html or a FILE.svg"));
  }
  const absl::StatusOr<model::Report> report = LoadReport(*request);
  if (!report.ok()) return FailWith(report.status());
  if (report->profile.samples.empty()) return FailWith(NothingToShow(*request));
  output::FlamegraphOptions options;
  options.unit = request->options.unit;
  options.lines = request->lines;
  options.scope = ScopeOf(*report, *request);
  options.processes = ProcessLines(*report);
  const absl::Status status =
      WriteOutput(file, is_svg ? output::FlamegraphSvg(report->profile, options)
                               : output::FlamegraphHtml(report->profile, options));
  return status.ok() ? static_cast<int>(kDone) : Fail(kBadInput, status.message());
}

}  // namespace

Command FlamegraphCommand() {
  return {"flamegraph",
          "PATH... -o FILE.html|FILE.svg",
          "one self-contained file to look at",
          WithProfileOptions({{"-o", "FILE", "where to; its ending says which form"}}),
          Operands::kFiles,
          Flamegraph};
}

}  // namespace heapecho::cli

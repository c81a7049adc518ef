// SPDX-License-Identifier: Apache-2.0
// heapecho report: the summary, for people or for programs.
#include "analyzer/output/report.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/profile_request.h"

namespace heapecho::cli {
namespace {

int Report(const Arguments& arguments) {
  const absl::StatusOr<ProfileRequest> request = ParseProfileRequest(arguments);
  if (!request.ok()) return FailWith(request.status());
  size_t top = 0;  // not given
  if (arguments.Has("--top") && (!absl::SimpleAtoi(arguments.Get("--top"), &top) || top == 0)) {
    return Fail(kBadInput,
                absl::StrCat("--top ", arguments.Get("--top"), ": must be a number above 0"));
  }
  const absl::StatusOr<model::Report> report = LoadReport(*request);
  if (!report.ok()) return FailWith(report.status());
  std::string text;
  if (arguments.Has("--json")) {
    text = top == 0 ? output::ReportJson(*report) : output::ReportJson(*report, top);
  } else {
    output::ReportOptions options;
    if (top != 0) options.top = top;
    text = output::ReportText(*report, options);
  }
  const absl::Status status = WriteOutput(arguments.Get("-o"), text);
  return status.ok() ? static_cast<int>(kDone) : Fail(kBadInput, status.message());
}

}  // namespace

Command ReportCommand() {
  return {"report",
          "PATH... [--json]",
          "the summary: who, how it ended, where the memory went",
          WithProfileOptions({{"--top", "N", "how many places are shown; default 10, in JSON all"},
                              {"--json", "", "for programs, schema 1"},
                              {"-o", "FILE", "write there instead of to standard output"}}),
          Operands::kFiles,
          Report};
}

}  // namespace heapecho::cli

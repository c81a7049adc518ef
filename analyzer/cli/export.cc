// SPDX-License-Identifier: Apache-2.0
// heapecho export: the profile in a form that other programs read.
#include "absl/strings/str_cat.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/profile_request.h"
#include "analyzer/output/folded.h"

namespace heapecho::cli {
namespace {

int Export(const Arguments& arguments) {
  const absl::StatusOr<ProfileRequest> request = ParseProfileRequest(arguments);
  if (!request.ok()) return FailWith(request.status());
  if (const std::string format = arguments.Get("--format"); format != "folded") {
    return Fail(kBadInput, format.empty()
                               ? "export: --format is missing: folded"
                               : absl::StrCat("--format ", format, ": must be one of folded"));
  }
  const absl::StatusOr<model::Report> report = LoadReport(*request);
  if (!report.ok()) return FailWith(report.status());
  const std::string text = output::Folded(report->profile, {request->options.unit, request->lines});
  if (text.empty()) return FailWith(NothingToShow(*request));
  const absl::Status status = WriteOutput(arguments.Get("-o"), text);
  return status.ok() ? static_cast<int>(kDone) : Fail(kBadInput, status.message());
}

}  // namespace

Command ExportCommand() {
  return {"export",
          "PATH... --format folded [-o FILE]",
          "the profile for other programs",
          WithProfileOptions({{"--format", "folded", "one line a stack: root;...;leaf amount"},
                              {"-o", "FILE", "write there instead of to standard output"}}),
          Operands::kFiles,
          Export};
}

}  // namespace heapecho::cli

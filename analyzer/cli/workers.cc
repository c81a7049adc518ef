// SPDX-License-Identifier: Apache-2.0
// heapecho workers: generations of workers, how they ended, and whether they die in a loop.
#include "analyzer/output/workers.h"

#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/profile_request.h"

namespace heapecho::cli {
namespace {

int Workers(const Arguments& arguments) {
  const absl::StatusOr<ProfileRequest> request = ParseProfileRequest(arguments);
  if (!request.ok()) return FailWith(request.status());
  const absl::StatusOr<model::Report> report = LoadReport(*request);
  if (!report.ok()) return FailWith(report.status());
  const std::string text =
      arguments.Has("--json") ? output::WorkersJson(*report) : output::WorkersText(*report);
  if (const absl::Status status = WriteOutput(arguments.Get("-o"), text); !status.ok())
    return Fail(kBadInput, status.message());
  return report->workers.empty() ? kNothing : kDone;
}

}  // namespace

Command WorkersCommand() {
  return {"workers",
          "PATH... [--json]",
          "generations of workers: lifetimes, ends, memory against the limit, restart loops",
          {{"--where", "KEY=VALUE,...", "only pid=, host=; several of one key are alternatives"},
           {"--sysroot", "DIR", "where the recorded machine's libraries lie, for their symbols"},
           {"--json", "", "for programs, as in the report's JSON"},
           {"-o", "FILE", "write there instead of to standard output"}},
          Operands::kFiles,
          Workers};
}

}  // namespace heapecho::cli

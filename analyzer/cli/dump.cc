// SPDX-License-Identifier: Apache-2.0
// heapecho dump: a recording's records as text.
#include "analyzer/output/dump.h"

#include "absl/strings/str_cat.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/reader/reader.h"

namespace heapecho::cli {
namespace {

int Dump(const Arguments& arguments) {
  if (arguments.operands().size() != 1) return Fail(kBadInput, "dump: give one FILE");
  const absl::StatusOr<model::Recording> recording = reader::ReadRecording(arguments.operands()[0]);
  if (!recording.ok()) return Fail(kBadInput, recording.status().message());
  OutputFile file(arguments.Get("-o"));
  output::Dump(*recording, [&](absl::string_view text) { file.Write(text); });
  const absl::Status status = file.Close();
  return status.ok() ? static_cast<int>(kDone) : Fail(kBadInput, status.message());
}

}  // namespace

Command DumpCommand() {
  return {"dump",
          "FILE [-o FILE]",
          "a recording's records as text",
          {{"-o", "FILE", "write there instead of to standard output"}},
          Operands::kFiles,
          Dump};
}

}  // namespace heapecho::cli

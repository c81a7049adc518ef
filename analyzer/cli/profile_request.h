// SPDX-License-Identifier: Apache-2.0
// What several commands have in common: which recordings, which of their figures, and the way from
// there to a report.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analyzer/aggregator/aggregator.h"
#include "analyzer/cli/arguments.h"
#include "analyzer/cli/console.h"
#include "analyzer/model/report.h"
#include "analyzer/reader/reader.h"

namespace heapecho::cli {

struct ProfileRequest {
  std::vector<std::string> paths;
  aggregator::Options options;
  bool lines = false;
  std::string sysroot;
};

// The options that choose figures, followed by `own` ones of the command.
std::vector<Option> WithProfileOptions(std::vector<Option> own);

// Errors name the option and its value.
absl::StatusOr<ProfileRequest> ParseProfileRequest(const Arguments& arguments);

// Hands over each recording that the paths name, and whether its process runs. One that cannot be
// read is a warning on stderr, and a sentence in the result, as long as another one can. Errors as
// LoadReport's.
absl::StatusOr<std::vector<std::string>> ReadEach(
    const std::vector<std::string>& paths, reader::Events events, Progress* progress,
    absl::FunctionRef<void(model::Recording recording, model::ProcessState state)> visit);

// Reads and merges the recordings. One that cannot be read is a warning, on stderr and in the
// profile's warnings, as long as another one can. Errors: NotFound, the directory is there and
// holds no recordings; InvalidArgument, all others; each names the file.
absl::StatusOr<model::Report> LoadReport(const ProfileRequest& request);

// That the recordings were read and hold nothing of what was asked for. NotFound.
absl::Status NothingToShow(const ProfileRequest& request);

// The exit status that goes with an error of the functions above, after its line on stderr.
int FailWith(const absl::Status& status);

// "2 recordings on web-1 (gunicorn), live bytes at 2025-01-01 09:30:05 UTC": whose memory a picture
// shows.
std::string ScopeOf(const model::Report& report, const ProfileRequest& request);

// "gunicorn 412 on web-1, killed, 17,142 samples": a line for each recording.
std::vector<std::string> ProcessLines(const model::Report& report);

}  // namespace heapecho::cli

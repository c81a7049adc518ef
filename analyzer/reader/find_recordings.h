// SPDX-License-Identifier: Apache-2.0
// From what a person names on the command line to the recordings that are meant.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace heapecho::reader {

// Each path is a recording, taken as it is, or a directory, which stands for its *.heapecho files
// (not those of its subdirectories), by name. The order is that of the paths; a file that is
// reached twice, by any name, is there once. Errors name the path: it does not exist, may not be
// read, or is a directory without recordings. No paths give no files. The files themselves are not
// opened.
absl::StatusOr<std::vector<std::string>> FindRecordings(const std::vector<std::string>& paths);

}  // namespace heapecho::reader

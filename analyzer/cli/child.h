// SPDX-License-Identifier: Apache-2.0
// Runs a program to its end and reads what it says.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace heapecho::cli {

struct Answer {
  pid_t pid = 0;
  int status = 0;    // as of waitpid
  std::string text;  // stdout and stderr
};

// command[0] is a path. Its environment is this process's without HEAPECHO_ and LD_ variables (but
// with LD_LIBRARY_PATH), and `extra`.
absl::StatusOr<Answer> RunToEnd(const std::vector<std::string>& command,
                                const std::vector<std::string>& extra);

}  // namespace heapecho::cli

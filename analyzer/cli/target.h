// SPDX-License-Identifier: Apache-2.0
// A command as the kernel would run it: which ELF file, and which loader would read LD_PRELOAD
// there.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace heapecho::cli {

struct Target {
  std::string path;     // what is executed: the command as found in PATH
  std::string program;  // the ELF file: `path`, or the interpreter that its first line names
  std::string loader;   // the program's own loader
};

// Looks `command` up as execvp does and reads its headers. Errors: NotFound, there is no such file;
// PermissionDenied, it may not be executed; FailedPrecondition, it would run unrecorded, with the
// reason: statically linked, musl, another machine, set-user-id. Each names the file.
absl::StatusOr<Target> FindTarget(const std::string& command, const std::string& search_path);

// The same for a program that is known by its file, e.g. /proc/PID/exe, wherever it lies.
absl::StatusOr<Target> TargetOf(const std::string& path);

}  // namespace heapecho::cli

// SPDX-License-Identifier: Apache-2.0
// heapecho run: sets the environment and becomes the command.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/library.h"
#include "analyzer/cli/target.h"
#include "analyzer/cli/variables.h"

namespace heapecho::cli {
namespace {

// As shells do.
constexpr int kMayNotExecute = 126;
constexpr int kNoSuchCommand = 127;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::Status SetSize(const Arguments& arguments, const char* option, const char* variable) {
  if (!arguments.Has(option)) return absl::OkStatus();
  const std::string value = arguments.Get(option);
  if (value != "auto" && !IsSize(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", value, ": must be auto or a size, such as 65536, 512K or 4MiB"));
  }
  setenv(variable, value.c_str(), 1);
  return absl::OkStatus();
}

// The command may change its folder before the library reads the variable, and its children do.
std::string Absolute(const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  char* folder = getcwd(nullptr, 0);
  const std::string out = absl::StrCat(folder == nullptr ? "" : folder, "/", path);
  std::free(folder);
  return out;
}

int Run(const Arguments& arguments) {
  const std::vector<std::string>& command = arguments.operands();
  if (command.empty()) {
    return Fail(kBadInput, "run: no command was given (see: heapecho help run)");
  }
  for (const auto& [option, variable] :
       {std::pair{"--interval", kIntervalVariable}, std::pair{"--budget", kBudgetVariable}}) {
    if (const absl::Status status = SetSize(arguments, option, variable); !status.ok()) {
      return Fail(kBadInput, absl::StrCat("run: ", status.message()));
    }
  }
  if (arguments.Has("--dir")) {
    if (arguments.Get("--dir").empty()) return Fail(kBadInput, "run: --dir: is empty");
    setenv(kDirectoryVariable, Absolute(arguments.Get("--dir")).c_str(), 1);
  }
  std::string allocator;
  if (arguments.Has("--allocator")) {
    const absl::StatusOr<std::string> found = AllocatorLibrary(arguments.Get("--allocator"));
    if (!found.ok())
      return Fail(kBadInput, absl::StrCat("run: --allocator ", found.status().message()));
    allocator = *found;
  }
  setenv(kNoticeVariable, "1", 0);
  setenv(kShortVariable, "keep", 0);  // whoever asks for a run wants its recording, however short

  const absl::StatusOr<std::string> library = FindLibrary();
  if (!library.ok()) return Fail(kBadInput, library.status().message());
  const absl::StatusOr<Target> target =
      FindTarget(command[0], std::getenv("PATH") == nullptr ? "/bin:/usr/bin" : Variable("PATH"));
  if (!target.ok()) {
    const int exit_status = absl::IsNotFound(target.status())           ? kNoSuchCommand
                            : absl::IsPermissionDenied(target.status()) ? kMayNotExecute
                                                                        : kBadInput;
    return Fail(exit_status, target.status().message());
  }
  if (const absl::Status status = TryLibrary(*library, allocator, *target); !status.ok()) {
    return Fail(kBadInput, status.message());
  }
  setenv("LD_PRELOAD", PreloadValue(*library, allocator, Variable("LD_PRELOAD")).c_str(), 1);

  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execv(target->path.c_str(), words.data());
  const int error = errno;
  return Fail(error == ENOENT ? kNoSuchCommand : kMayNotExecute,
              absl::StrCat(target->path, ": cannot be executed: ", std::strerror(error)));
}

}  // namespace

Command RunCommand() {
  return {"run",
          "[--dir DIR] [--interval auto|N] [--budget N] [--allocator NAME] -- CMD ...",
          "runs a command and records it and its children",
          {{"--dir", "DIR", absl::StrCat("where recordings go; default ", kDefaultDirectory)},
           {"--interval", "auto|N",
            "mean bytes between samples; auto holds the cost at 0.3 % of CPU time, and 15 ms more when a process begins"},
           {"--budget", "auto|N", "most bytes of disk for one process"},
           {"--allocator", "NAME",
            "preload another allocator too: jemalloc, tcmalloc, mimalloc or a path"}},
          Operands::kCommand,
          Run};
}

}  // namespace heapecho::cli

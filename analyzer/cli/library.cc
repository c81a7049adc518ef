// SPDX-License-Identifier: Apache-2.0
// Where the preload library is, and whether a loader takes it; the contract is in the header.
#include "analyzer/cli/library.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace heapecho::cli {
namespace {

constexpr char kLibrary[] = "libheapecho.so";

std::string RealPath(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return "";
  std::string out = resolved;
  std::free(resolved);
  return out;
}

struct Answer {
  int status = 0;    // as of waitpid
  std::string text;  // stdout and stderr
};

// Runs a program to its end. Its environment is ours but for LD_ variables, of which it has only
// `extra`.
absl::StatusOr<Answer> RunAndRead(const std::vector<std::string>& command,
                                  const std::vector<std::string>& extra) {
  std::vector<std::string> environment = extra;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "LD_") || absl::StartsWith(*variable, "LD_LIBRARY_PATH=")) {
      environment.emplace_back(*variable);
    }
  }
  std::vector<char*> arguments, variables;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  for (const std::string& word : environment) variables.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  variables.push_back(nullptr);

  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  Answer answer;
  char buffer[4096];
  while (error == 0) {
    const ssize_t got = read(pipe_ends[0], buffer, sizeof buffer);
    if (got > 0) answer.text.append(buffer, static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  close(pipe_ends[0]);
  if (error != 0) return absl::ErrnoToStatus(error, command[0]);
  while (waitpid(child, &answer.status, 0) < 0 && errno == EINTR) {
  }
  return answer;
}

}  // namespace

std::string OwnExecutable() { return RealPath("/proc/self/exe"); }

absl::StatusOr<std::string> FindLibrary() {
  const std::string executable = OwnExecutable();
  const std::string folder = executable.substr(0, executable.rfind('/'));
  std::vector<std::string> places;
  for (const char* place : {"/", "/../lib/heapecho/"}) {
    places.push_back(absl::StrCat(folder, place, kLibrary));
    const std::string found = RealPath(places.back());
    if (found.empty()) continue;
    if (found.find_first_of(" :;\t\n") != std::string::npos) {
      return absl::FailedPreconditionError(
          absl::StrCat(found, ": LD_PRELOAD cannot hold a path with spaces, colons or semicolons"));
    }
    return found;
  }
  return absl::NotFoundError(
      absl::StrCat(kLibrary, ": is not there; looked for ", absl::StrJoin(places, " and ")));
}

absl::Status TryLibrary(const std::string& library, const Target& target) {
  // --list maps the program with everything it needs and prints the list instead of starting it;
  // bound at once, so that a missing symbol is found now.
  const absl::StatusOr<Answer> answer =
      RunAndRead({target.loader, "--list", target.program},
                 {absl::StrCat("LD_PRELOAD=", library), "LD_BIND_NOW=1"});
  if (!answer.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(target.program, ": its loader cannot be asked: ", answer.status().message()));
  }
  bool loaded = false;
  for (const absl::string_view line : absl::StrSplit(answer->text, '\n')) {
    if (!absl::StrContains(line, library)) continue;
    if (absl::StrContains(line, "cannot be preloaded") || absl::StrContains(line, "not found") ||
        absl::StrContains(line, "undefined symbol")) {
      return absl::FailedPreconditionError(absl::StrCat(
          target.program, ": its loader refuses the library: ", absl::StripAsciiWhitespace(line)));
    }
    loaded = loaded || absl::StrContains(line, "(0x");
  }
  if (loaded) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(target.program, ": its loader ", target.loader, " does not load ", library));
}

std::string PreloadValue(const std::string& library, const std::string& before) {
  std::vector<std::string> names = {library};
  for (const absl::string_view name :
       absl::StrSplit(before, absl::ByAnyChar(" :"), absl::SkipEmpty())) {
    if (name != library) names.emplace_back(name);
  }
  return absl::StrJoin(names, ":");
}

}  // namespace heapecho::cli

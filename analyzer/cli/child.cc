// SPDX-License-Identifier: Apache-2.0
// Runs a program to its end; the contract is in the header.
#include "analyzer/cli/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace heapecho::cli {

absl::StatusOr<Answer> RunToEnd(const std::vector<std::string>& command,
                                const std::vector<std::string>& extra) {
  std::vector<std::string> environment = extra;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const absl::string_view text = *variable;
    const bool is_inherited =
        !absl::StartsWith(text, "HEAPECHO_") &&
        (!absl::StartsWith(text, "LD_") || absl::StartsWith(text, "LD_LIBRARY_PATH="));
    if (is_inherited) environment.emplace_back(text);
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
  Answer answer;
  const int error =
      posix_spawn(&answer.pid, arguments[0], &actions, nullptr, arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  char buffer[4096];
  while (error == 0) {
    const ssize_t got = read(pipe_ends[0], buffer, sizeof buffer);
    if (got > 0) answer.text.append(buffer, static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  close(pipe_ends[0]);
  if (error != 0) return absl::ErrnoToStatus(error, command[0]);
  while (waitpid(answer.pid, &answer.status, 0) < 0 && errno == EINTR) {
  }
  return answer;
}

}  // namespace heapecho::cli

// SPDX-License-Identifier: Apache-2.0
// Promise: a process that is made by the system call alone, past the C library's fork, has its own
// recording.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 1000;
constexpr uint64_t kBlocks = 2000;
}  // namespace

SITE void* site_before() { return Escape(malloc(kSize)); }
SITE void* site_cloned() { return Escape(malloc(kSize)); }

int main() {
  for (uint64_t i = 0; i < kBlocks; ++i) site_before();
  const long child = syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  truth::Require(child >= 0, "clone");
  if (child == 0) {
    for (uint64_t i = 0; i < kBlocks; ++i) site_cloned();
    // The C library keeps the parent's number; the kernel knows better.
    truth::Say(
        "{\"pid\": %ld, \"site\": \"site_cloned\", \"size\": %zu, \"allocated\": %lu, \"live\": "
        "%lu}",
        syscall(SYS_getpid), kSize, kBlocks, kBlocks);
    syscall(SYS_exit_group, 4);  // past the last word too
  }
  int status = 0;
  truth::Require(
      waitpid(static_cast<pid_t>(child), &status, 0) == child && WEXITSTATUS(status) == 4,
      "waitpid");
  truth::SaySite("site_before", kSize, kBlocks, kBlocks);
  return 0;
}

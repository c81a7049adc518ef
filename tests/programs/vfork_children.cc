// SPDX-License-Identifier: Apache-2.0
// Promise: a vfork child runs in its parent's memory and leaves the parent's recording as it was;
// posix_spawn and exec work. Usage: vfork_children CHILDREN.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

#include "tests/programs/truth.h"

extern char** environ;

namespace {
using truth::Escape;
constexpr size_t kSize = 1000;

int StatusOf(pid_t child) {
  int status = 0;
  truth::Require(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child exits");
  return WEXITSTATUS(status);
}

}  // namespace

SITE void* site_parent() { return Escape(malloc(kSize)); }
SITE void* site_in_vfork(size_t size) { return Escape(malloc(size)); }

int main(int argc, char** argv) {
  const uint64_t children = truth::Argument(argc, argv, 1, 50);
  const char* shell[] = {"/bin/sh", "-c", "exit 5", nullptr};
  const char* missing[] = {"/nonexistent/program", nullptr};
  uint64_t sum = 0, refused = 0;
  for (uint64_t c = 0; c < children; ++c) {
    for (int i = 0; i < 20; ++i) {
      void* block = site_parent();
      if (i % 2 == 1) free(block);
    }
    pid_t child = vfork();
    if (child == 0) _exit(3);
    sum += static_cast<uint64_t>(StatusOf(child));

    child = vfork();
    if (child == 0) {
      execve(shell[0], const_cast<char**>(shell), environ);
      _exit(100);
    }
    sum += static_cast<uint64_t>(StatusOf(child));

    // Calls that a child between vfork and exec makes in practice, and a failing exec.
    child = vfork();
    if (child == 0) {
      const int null = open("/dev/null", O_RDWR);
      dup2(null, STDIN_FILENO);
      close(null);
      execve(missing[0], const_cast<char**>(missing), environ);
      _exit(errno == ENOENT ? 7 : 101);
    }
    sum += static_cast<uint64_t>(StatusOf(child));

    // Not allowed, seen in the wild, and harmless without heapecho: what the child allocates and
    // frees passes.
    child = vfork();
    if (child == 0) {
      for (int i = 0; i < 10; ++i) free(site_in_vfork(kSize));
      _exit(11);
    }
    sum += static_cast<uint64_t>(StatusOf(child));

    pid_t spawned = 0;
    truth::Require(
        posix_spawn(&spawned, shell[0], nullptr, nullptr, const_cast<char**>(shell), environ) == 0,
        "posix_spawn");
    sum += static_cast<uint64_t>(StatusOf(spawned));
    refused += posix_spawn(&spawned, missing[0], nullptr, nullptr, const_cast<char**>(missing),
                           environ) == ENOENT;
  }
  truth::SaySite("site_parent", kSize, children * 20, children * 10);
  truth::SaySite("site_in_vfork", kSize, 0, 0);
  truth::Say("{\"statuses\": %lu, \"refused\": %lu}", sum, refused);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Promise: a worker in a pid or user namespace of its own has its own recording, and its end is
// found out there. Usage: in_namespace pid|user. The worker allocates, says who it is to itself,
// and is killed by its parent.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstring>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 1000;
constexpr uint64_t kBlocks = 2000;
}  // namespace

SITE void* site_before() { return Escape(malloc(kSize)); }
SITE void* site_inside() { return Escape(malloc(kSize)); }

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (uint64_t i = 0; i < kBlocks; ++i) site_before();
  if (unshare(std::strcmp(argv[1], "pid") == 0 ? CLONE_NEWPID : CLONE_NEWUSER) != 0) return 77;
  int ready[2];
  truth::Require(pipe(ready) == 0, "pipe");
  const pid_t child = fork();
  truth::Require(child >= 0, "fork");
  if (child == 0) {
    for (uint64_t i = 0; i < kBlocks; ++i) site_inside();
    truth::SaySite("site_inside", kSize, kBlocks, kBlocks);
    truth::Require(write(ready[1], "r", 1) == 1, "ready");
    for (;;) pause();
  }
  char said;
  truth::Require(read(ready[0], &said, 1) == 1, "the child is ready");
  kill(child, SIGKILL);
  int status = 0;
  truth::Require(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL, "waitpid");
  return 0;
}

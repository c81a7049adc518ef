// SPDX-License-Identifier: Apache-2.0
// Promise: a worker that drops its user or changes its root goes on as it would; it records where
// it then can. Usage: changes_root user|ROOT. Allocates as it was, forks a worker that becomes
// another user or has another root.
#include <sys/wait.h>

#include <cstring>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 1000;
constexpr uint64_t kBlocks = 2000;
constexpr uid_t kNobody = 65534;
}  // namespace

SITE void* site_before() { return Escape(malloc(kSize)); }
SITE void* site_after() { return Escape(malloc(kSize)); }

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (uint64_t i = 0; i < kBlocks; ++i) site_before();
  const pid_t child = fork();
  truth::Require(child >= 0, "fork");
  if (child == 0) {
    if (std::strcmp(argv[1], "user") == 0) {
      truth::Require(setgid(kNobody) == 0 && setuid(kNobody) == 0, "becomes nobody");
    } else {
      truth::Require(chroot(argv[1]) == 0 && chdir("/") == 0, "changes its root");
    }
    for (uint64_t i = 0; i < kBlocks; ++i) site_after();
    truth::SaySite("site_after", kSize, kBlocks, kBlocks);
    exit(5);
  }
  int status = 0;
  truth::Require(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5,
                 "the worker did its work");
  return 0;
}

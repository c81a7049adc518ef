// SPDX-License-Identifier: Apache-2.0
// Promise: a daemon, which forks twice, leaves its session, closes every descriptor and has nobody
// to wait for it, is recorded all the same. Usage: daemonizes FIFO. Says what it holds into the
// FIFO.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 1000;
constexpr uint64_t kBlocks = 2000;
}  // namespace

SITE void* site_before() { return Escape(malloc(kSize)); }
SITE void* site_daemon() { return Escape(malloc(kSize)); }

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (uint64_t i = 0; i < kBlocks; ++i) site_before();
  const pid_t middle = fork();
  if (middle == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    truth::Require(chdir("/") == 0, "chdir");
    umask(0);
    for (int descriptor = 0; descriptor < 1024; ++descriptor) close(descriptor);
    // As daemons do: 0, 1 and 2 are something else from here on.
    if (open("/dev/null", O_RDONLY) != 0 || open(argv[1], O_WRONLY) != 1 ||
        open("/dev/null", O_WRONLY) != 2)
      return 3;
    for (uint64_t i = 0; i < kBlocks; ++i) site_daemon();
    truth::SaySite("site_daemon", kSize, kBlocks, kBlocks);
    return 6;
  }
  int status = 0;
  truth::Require(waitpid(middle, &status, 0) == middle && status == 0,
                 "the one in the middle goes");
  return 0;
}

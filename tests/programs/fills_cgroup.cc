// SPDX-License-Identifier: Apache-2.0
// Promise: after the OOM killer, the recording names what filled the limit. Usage: fills_cgroup
// FILE. Joins the cgroup whose tasks are listed in FILE, then allocates and touches until it is
// killed.
#include <fcntl.h>

#include <cstring>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
}  // namespace

SITE void* site_modest() { return Escape(malloc(4096)); }
SITE void* site_hog() { return Escape(malloc(65536)); }

int main(int argc, char** argv) {
  truth::Require(argc == 2, "usage: fills_cgroup FILE");
  const int tasks = open(argv[1], O_WRONLY | O_CLOEXEC);
  truth::Require(tasks >= 0 && write(tasks, "0\n", 2) == 2, "the cgroup takes this process");
  for (int i = 0; i < 256; ++i) std::memset(site_modest(), 1, 4096);
  for (;;) std::memset(site_hog(), 1, 65536);
}

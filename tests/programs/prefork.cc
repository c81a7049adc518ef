// SPDX-License-Identifier: Apache-2.0
// Promise: a forked worker has its own recording, knows its parent's, and what it inherited.
// Usage: prefork WORKERS BLOCKS. The master allocates, forks; each worker frees a part of what it
// inherited and allocates on; the first one forks once more. Everyone says its truth; the master
// waits for all.
#include <sys/wait.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kMasterSize = 1024, kWorkerSize = 2048, kGrandchildSize = 512;
}  // namespace

SITE void* site_master() { return Escape(malloc(kMasterSize)); }
SITE void* site_worker() { return Escape(malloc(kWorkerSize)); }
SITE void* site_grandchild() { return Escape(malloc(kGrandchildSize)); }

namespace {

void Reap(pid_t child) {
  int status = 0;
  truth::Require(waitpid(child, &status, 0) == child && WIFEXITED(status), "a child exits");
  truth::Say("{\"pid\": %d, \"parent\": %d, \"status\": %d}", child, getpid(), WEXITSTATUS(status));
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t workers = truth::Argument(argc, argv, 1, 3);
  const uint64_t blocks = truth::Argument(argc, argv, 2, 2000);
  void** inherited = truth::Notes<void*>(blocks);
  for (uint64_t i = 0; i < blocks; ++i) inherited[i] = site_master();
  pid_t* children = truth::Notes<pid_t>(workers);
  for (uint64_t w = 0; w < workers; ++w) {
    children[w] = fork();
    truth::Require(children[w] >= 0, "fork");
    if (children[w] != 0) continue;
    // The same in each worker, so that their heaps are alike until here.
    for (uint64_t i = 0; i < blocks; ++i) {
      void* block = site_worker();
      if (i % 2 == 1) free(block);
    }
    // Worker w frees (w + 1) / 8 of the master's blocks.
    uint64_t left = blocks;
    for (uint64_t i = 0; i < blocks; ++i) {
      if (i % 8 <= w) free(inherited[i]), --left;
    }
    if (w == 0) {
      const pid_t grandchild = fork();
      truth::Require(grandchild >= 0, "fork");
      if (grandchild == 0) {
        for (uint64_t i = 0; i < 2 * blocks; ++i) site_grandchild();
        truth::SaySite("site_master", kMasterSize, 0, left);
        truth::SaySite("site_worker", kWorkerSize, 0, blocks - blocks / 2);
        truth::SaySite("site_grandchild", kGrandchildSize, 2 * blocks, 2 * blocks);
        std::exit(50);
      }
      Reap(grandchild);
    }
    truth::SaySite("site_master", kMasterSize, 0, left);
    truth::SaySite("site_worker", kWorkerSize, blocks, blocks - blocks / 2);
    std::exit(static_cast<int>(20 + w));
  }
  for (uint64_t w = 0; w < workers; ++w) Reap(children[w]);
  truth::SaySite("site_master", kMasterSize, blocks, blocks);
  truth::SaySite("site_worker", kWorkerSize, 0, 0);
  return 0;
}

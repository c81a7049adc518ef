// SPDX-License-Identifier: Apache-2.0
// Promise: any number of processes, forked one after the other while threads allocate, record into
// one directory; none is in another one's way. Usage: crowd FORKS THREADS. Each process says what
// it holds; children end with status 7.
#include <pthread.h>
#include <sys/wait.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 500;
constexpr uint64_t kBlocks = 200;
}  // namespace

SITE void* site_thread() { return Escape(malloc(kSize)); }
SITE void* site_child() { return Escape(malloc(kSize)); }

int main(int argc, char** argv) {
  const uint64_t forks = truth::Argument(argc, argv, 1, 10);
  const uint64_t threads = truth::Argument(argc, argv, 2, 4);
  pthread_t* running = truth::Notes<pthread_t>(threads);
  for (uint64_t t = 0; t < threads; ++t) {
    const auto work = [](void*) -> void* {
      for (uint64_t i = 0; i < kBlocks; ++i) site_thread();
      return nullptr;
    };
    truth::Require(pthread_create(&running[t], nullptr, work, nullptr) == 0, "pthread_create");
  }
  for (uint64_t f = 0; f < forks; ++f) {
    const pid_t child = fork();
    truth::Require(child >= 0, "fork");
    if (child == 0) {
      for (uint64_t i = 0; i < kBlocks; ++i) site_child();
      truth::SaySite("site_child", kSize, kBlocks, kBlocks);
      _exit(7);
    }
    int status = 0;
    truth::Require(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7, "a child ends");
  }
  for (uint64_t t = 0; t < threads; ++t) pthread_join(running[t], nullptr);
  truth::SaySite("site_thread", kSize, kBlocks * threads, kBlocks * threads);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Promise: threads that ended before a recording began, and more of them than it has room for, are known and counted.
// Usage: named_threads THREADS KILL. Each names itself, leaves one block behind and ends; then the program allocates
// much and, if KILL is not 0, kills itself.
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "tests/programs/truth.h"

namespace {
constexpr size_t kSize = 500;
constexpr size_t kMuch = 4 << 20;
}  // namespace

SITE void* site_in_thread() { return truth::Escape(malloc(kSize)); }
SITE void* site_much() { return truth::Escape(malloc(kMuch)); }

namespace {
void* Run(void*) {
  prctl(PR_SET_NAME, "early");
  site_in_thread();
  return nullptr;
}
}  // namespace

int main(int argc, char** argv) {
  const uint64_t threads = truth::Argument(argc, argv, 1, 20);
  for (uint64_t i = 0; i < threads; ++i) {
    pthread_t thread;
    truth::Require(pthread_create(&thread, nullptr, Run, nullptr) == 0, "a thread starts");
    pthread_join(thread, nullptr);
  }
  site_much();
  truth::SaySite("site_in_thread", kSize, threads, threads);
  truth::SaySite("site_much", kMuch, 1, 1);
  return truth::Argument(argc, argv, 2, 0) != 0 ? raise(SIGKILL) : 0;
}

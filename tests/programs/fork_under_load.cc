// SPDX-License-Identifier: Apache-2.0
// Promise: fork while other threads allocate gives a child that can allocate, free what it
// inherited, and exit. Usage: fork_under_load CHILDREN.
#include <pthread.h>
#include <sys/wait.h>

#include <atomic>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
std::atomic<bool> g_done{false};
constexpr size_t kInherited = 1000;
void* g_inherited[kInherited];
}  // namespace

SITE void* site_load(size_t size) { return Escape(malloc(size)); }
SITE void* site_child(size_t size) { return Escape(malloc(size)); }

namespace {

void* Load(void*) {
  void* window[64] = {};
  for (size_t i = 0; !g_done.load(std::memory_order_relaxed); ++i) {
    free(window[i % 64]);
    window[i % 64] = site_load(50 + i % 2000);
  }
  for (void* block : window) free(block);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t children = truth::Argument(argc, argv, 1, 100);
  for (void*& block : g_inherited) block = site_load(100);
  pthread_t threads[4];
  for (pthread_t& thread : threads) pthread_create(&thread, nullptr, Load, nullptr);
  uint64_t sum = 0;
  for (uint64_t c = 0; c < children; ++c) {
    const pid_t child = fork();
    truth::Require(child >= 0, "fork");
    if (child == 0) {
      for (void* block : g_inherited) free(block);
      for (uint64_t i = 0; i < 2000; ++i) {
        void* block = site_child(100 + i % 900);
        if (i % 3 != 0) free(block);
      }
      if (c % 2 == 0) _exit(static_cast<int>(c % 100));
      std::exit(static_cast<int>(c % 100));
    }
    int status = 0;
    truth::Require(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child exits");
    sum += static_cast<uint64_t>(WEXITSTATUS(status));
  }
  g_done = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  truth::Say("children %lu statuses %lu", children, sum);
  return 0;
}

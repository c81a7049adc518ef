// SPDX-License-Identifier: Apache-2.0
// Promise: signals may come at any instruction, and handlers allocate where the program lets them.
// Usage: signal_storm SIGNALS. A timer storms two threads that allocate and compute in turn; a
// handler allocates when it did not interrupt an allocation (there it may not, with or without
// heapecho).
#include <pthread.h>
#include <sys/time.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
thread_local volatile sig_atomic_t t_in_allocator = 0;
std::atomic<uint64_t> g_signals{0}, g_wrong{0};
uint64_t g_wanted;
}  // namespace

SITE void* site_in_handler() { return Escape(malloc(333)); }
SITE void* site_stormed(size_t size) { return Escape(malloc(size)); }

namespace {

void Handle(int) {
  const int saved = errno;
  if (t_in_allocator == 0) {
    t_in_allocator = 1;
    free(site_in_handler());
    t_in_allocator = 0;
  }
  g_signals.fetch_add(1, std::memory_order_relaxed);
  errno = saved;
}

__attribute__((noinline)) uint64_t Compute(uint64_t seed, int depth) {
  if (depth > 0) {
    const uint64_t below = Compute(seed, depth - 1);
    return below * 31 + seed;
  }
  for (int i = 0; i < 300; ++i) seed = seed * 6364136223846793005 + 1;
  return seed;
}

void MaskAlarm(int how) {
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(how, &alarm, nullptr);
}

void* Run(void* argument) {
  MaskAlarm(SIG_UNBLOCK);
  const uint64_t expected = Compute(1, 20);
  unsigned char* kept[16] = {};
  for (size_t i = 0; g_signals.load(std::memory_order_relaxed) < g_wanted; ++i) {
    t_in_allocator = 1;
    unsigned char* block = static_cast<unsigned char*>(site_stormed(200 + i % 400));
    t_in_allocator = 0;
    block[0] = block[199] = static_cast<unsigned char>(i);
    unsigned char*& slot = kept[i % 16];
    if (slot != nullptr && (slot[0] != slot[199])) ++g_wrong;
    t_in_allocator = 1;
    free(slot);
    t_in_allocator = 0;
    slot = block;
    if (Compute(1, 20) != expected) ++g_wrong;
  }
  t_in_allocator = 1;
  for (unsigned char* block : kept) free(block);
  t_in_allocator = 0;
  MaskAlarm(SIG_BLOCK);  // the C library frees as the thread ends
  return argument;
}

}  // namespace

int main(int argc, char** argv) {
  g_wanted = truth::Argument(argc, argv, 1, 3000);
  // Only the two others are interrupted, and only in code of this program.
  MaskAlarm(SIG_BLOCK);
  struct sigaction action = {};
  action.sa_handler = Handle;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  pthread_t threads[2];
  for (pthread_t& thread : threads) pthread_create(&thread, nullptr, Run, nullptr);
  const itimerval often = {{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &often, nullptr);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  const itimerval never = {};
  setitimer(ITIMER_REAL, &never, nullptr);
  truth::Say("wrong %lu", g_wrong.load());
  std::_Exit(g_wrong == 0 ? 0 : 1);
}

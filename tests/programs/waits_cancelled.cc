// SPDX-License-Identifier: Apache-2.0
// Promise: the waits are cancellation points, as they are without the preload: a thread that is
// cancelled in one runs its cleanup handlers and ends, and its destructors run.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/programs/truth.h"

namespace {

int g_cleaned = 0, g_destroyed = 0;

struct Destroyed {
  ~Destroyed() { ++g_destroyed; }
};

template <typename Wait>
void* WaitForEver(void* argument) {
  const Destroyed here;
  pthread_cleanup_push([](void*) { ++g_cleaned; }, nullptr);
  (*static_cast<Wait*>(argument))();
  pthread_cleanup_pop(0);
  return nullptr;
}

template <typename Wait>
void CancelIn(const char* name, Wait wait) {
  g_cleaned = g_destroyed = 0;
  pthread_t thread;
  truth::Require(pthread_create(&thread, nullptr, WaitForEver<Wait>, &wait) == 0, "pthread_create");
  // Before it waits or while it does: a wait acts upon either.
  truth::Require(pthread_cancel(thread) == 0, "pthread_cancel");
  void* result = nullptr;
  truth::Require(pthread_join(thread, &result) == 0, "pthread_join");
  truth::Say("{\"wait\": \"%s\", \"cancelled\": %d, \"cleaned\": %d, \"destroyed\": %d}", name,
             result == PTHREAD_CANCELED, g_cleaned, g_destroyed);
}

}  // namespace

int main() {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  truth::Escape(malloc(1 << 20));
  CancelIn("wait", [] { wait(nullptr); });
  CancelIn("waitpid", [&] { waitpid(child, nullptr, 0); });
  CancelIn("wait3", [] { wait3(nullptr, 0, nullptr); });
  CancelIn("wait4", [&] { wait4(child, nullptr, 0, nullptr); });
  CancelIn("waitid", [&] {
    siginfo_t info;
    waitid(P_PID, static_cast<id_t>(child), &info, WEXITED);
  });
  kill(child, SIGKILL);
  int status = 0;
  truth::Require(waitpid(child, &status, 0) == child && WIFSIGNALED(status),
                 "it was there all the time");
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Promise: a process may reap, and send signals, in a signal handler that interrupts its
// allocations; each child's end is known once. Usage: reaps_in_handler CHILDREN. Every second child
// is killed by a handler, the others exit.
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>

#include "tests/programs/truth.h"

namespace {

std::atomic<int> g_reaped = 0, g_killed = 0;
std::atomic<pid_t> g_victim = 0;

void OnChild(int) {
  const int error = errno;
  int status = 0;
  for (pid_t child; (child = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (WIFSIGNALED(status)) ++g_killed;
    ++g_reaped;
  }
  errno = error;
}

void OnAlarm(int) {
  const pid_t victim = g_victim.exchange(0);
  if (victim > 0) kill(victim, SIGKILL);
}

SITE void site_churn() {
  for (size_t size = 100; size < 20000; size += 500) free(truth::Escape(malloc(size)));
}

}  // namespace

int main(int argc, char** argv) {
  const auto children = static_cast<int>(truth::Argument(argc, argv, 1, 40));
  struct sigaction on_child = {}, on_alarm = {};
  on_child.sa_handler = OnChild;
  on_child.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  sigaction(SIGCHLD, &on_child, nullptr);
  on_alarm.sa_handler = OnAlarm;
  on_alarm.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &on_alarm, nullptr);
  for (int i = 0; i < children; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      if (i % 2 == 0) _exit(0);
      for (;;) pause();
    }
    if (i % 2 == 1) {
      g_victim = child;
      raise(SIGUSR1);
    }
    while (g_reaped.load() <= i) site_churn();
  }
  truth::Say("{\"reaped\": %d, \"killed\": %d}", g_reaped.load(), g_killed.load());
  return g_reaped == children && g_killed == children / 2 ? 0 : 1;
}

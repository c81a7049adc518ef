// SPDX-License-Identifier: Apache-2.0
// Promise: however a child ends and whichever function waits for it, its end is known, and both say
// what they would without the preload. Each way of ending meets each way of waiting; each child
// allocates first and says that it did.
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/programs/truth.h"

extern "C" {
#include <sys/pidfd.h>  // glibc 2.36 has no extern "C" in it
}

namespace {

constexpr size_t kBlock = 8 << 20;
constexpr int kExitStatus = 3;

// How the parent ends a child that would go on for ever.
void ByKill(pid_t child) { truth::Require(kill(child, SIGKILL) == 0, "kill"); }
void ByGroup(pid_t child) { truth::Require(killpg(child, SIGTERM) == 0, "killpg"); }
void ByQueue(pid_t child) { truth::Require(sigqueue(child, SIGQUIT, sigval{}) == 0, "sigqueue"); }
void ByThread(pid_t child) { truth::Require(tgkill(child, child, SIGABRT) == 0, "tgkill"); }
void ByDescriptor(pid_t child) {
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  truth::Require(pidfd >= 0, "pidfd_open");
  truth::Require(pidfd_send_signal(pidfd, SIGKILL, nullptr, 0) == 0, "pidfd_send_signal");
  close(pidfd);
}
struct Way {
  const char* name;
  void (*end)(pid_t);  // null: the child ends itself, by exit or by a signal
  int status;          // of exit; -1: by SIGSEGV
};
constexpr Way kWays[] = {{"exit", nullptr, kExitStatus},
                         {"crash", nullptr, -1},
                         {"kill", ByKill, 0},
                         {"killpg", ByGroup, 0},
                         {"sigqueue", ByQueue, 0},
                         {"tgkill", ByThread, 0},
                         {"pidfd_send_signal", ByDescriptor, 0}};

// How the parent waits. Each gives the status as wait does.
int ByWait(pid_t child) {
  int status = 0;
  truth::Require(wait(&status) == child, "wait");
  return status;
}
int ByWait3(pid_t child) {
  int status = 0;
  rusage usage = {};
  truth::Require(wait3(&status, 0, &usage) == child && usage.ru_maxrss > 0, "wait3");
  return status;
}
int ByWait4(pid_t child) {
  int status = 0;
  truth::Require(wait4(child, &status, 0, nullptr) == child, "wait4");
  return status;
}
int ByWaitPid(pid_t child) {
  int status = 0;
  truth::Require(waitpid(-1, &status, 0) == child, "waitpid");
  truth::Require(waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD, "nobody is left");
  return status;
}
int ByWaitId(pid_t child) {
  siginfo_t info = {};
  truth::Require(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0,
                 "waitid peeks");
  info = {};
  truth::Require(
      waitid(P_PID, static_cast<id_t>(child), &info, WEXITED) == 0 && info.si_pid == child,
      "waitid");
  return info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
}
struct Waiter {
  const char* name;
  int (*wait)(pid_t);
};
constexpr Waiter kWaiters[] = {{"wait", ByWait},
                               {"wait3", ByWait3},
                               {"wait4", ByWait4},
                               {"waitpid", ByWaitPid},
                               {"waitid", ByWaitId}};

[[noreturn]] void Child(const Way& way, int ready) {
  setpgid(0, 0);
  auto* block = static_cast<char*>(truth::Escape(malloc(kBlock)));
  for (size_t i = 0; i < kBlock; i += 4096) block[i] = 1;
  truth::Require(write(ready, "r", 1) == 1, "the child is ready");
  if (way.end == nullptr && way.status >= 0) _exit(way.status);
  if (way.end == nullptr) {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  for (;;) pause();
}

}  // namespace

int main() {
  const rlimit no_core = {};
  setrlimit(RLIMIT_CORE, &no_core);
  for (const Way& way : kWays) {
    for (const Waiter& waiter : kWaiters) {
      int ready[2];
      truth::Require(pipe(ready) == 0, "pipe");
      const pid_t child = fork();
      truth::Require(child >= 0, "fork");
      if (child == 0) Child(way, ready[1]);
      char said;
      truth::Require(read(ready[0], &said, 1) == 1, "the child says so");
      close(ready[0]);
      close(ready[1]);
      if (way.end != nullptr) way.end(child);
      const int status =
          waiter.wait(child) & ~0x80;  // whether there was a core is the machine's business
      truth::Say(
          "{\"pid\": %d, \"way\": \"%s\", \"waiter\": \"%s\", \"status\": %d, \"signal\": %d}",
          child, way.name, waiter.name, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
  }
  // What fails still fails as it did.
  truth::Require(wait(nullptr) == -1 && errno == ECHILD, "no child");
  truth::Require(kill(getpid(), 0) == 0, "a signal that is none");
  truth::Require(kill(getpid(), 12345) == -1 && errno == EINVAL, "no such signal");
  truth::Require(kill(0x3ffffff, SIGKILL) == -1 && errno == ESRCH, "no such process");
  truth::Require(waitid(P_PID, 1, nullptr, WEXITED) == -1 && errno == ECHILD, "not my child");
  return 0;
}

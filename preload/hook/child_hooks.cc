// SPDX-License-Identifier: Apache-2.0
// wait and kill in all their forms, exported: each forwards and tells children.h.
//
// What they are stays true: the waits are cancellation points (the next function is, and these
// frames can be unwound through), all are safe in signal handlers, errno is the next function's.
// pthread_kill and raise are left alone: they reach nobody but the caller's own process, whose end
// its parent sees.
#include "preload/hook/child_hooks.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <utility>

#include "preload/base/symbols.h"
#include "preload/base/syscalls.h"
#include "preload/hook/children.h"
#include "preload/hook/export.h"
#include "preload/hook/next_function.h"

namespace heapecho::hook {
namespace {

#define NEXT(name, type) constinit NextFunction<type> g_##name(#name)
NEXT(wait, pid_t (*)(int*));
NEXT(wait3, pid_t (*)(int*, int, rusage*));
NEXT(wait4, pid_t (*)(pid_t, int*, int, rusage*));
NEXT(waitpid, pid_t (*)(pid_t, int*, int));
NEXT(waitid, int (*)(idtype_t, id_t, siginfo_t*, int));
NEXT(kill, int (*)(pid_t, int));
NEXT(killpg, int (*)(pid_t, int));
NEXT(tgkill, int (*)(pid_t, pid_t, int));
NEXT(sigqueue, int (*)(pid_t, int, sigval));
NEXT(pidfd_send_signal, int (*)(int, int, siginfo_t*, unsigned));
#undef NEXT

// Whether wait and waitpid may be made by wait4, which also says how much the child used: they are
// one library's, so nobody's function is left out.
constinit bool g_wait4_serves = false;

void TellIfEnded(pid_t child, int status, const rusage* usage) {
  if (child <= 0 || (!WIFEXITED(status) && !WIFSIGNALED(status))) return;
  const uint64_t max_rss = usage != nullptr ? static_cast<uint64_t>(usage->ru_maxrss) << 10 : 0;
  Reaped(child, status, max_rss);
}

// `wait(status, usage)` is the next function, told where to put both.
template <typename Wait>
pid_t WaitAndTell(int* status, rusage* usage, Wait wait) {
  AboutToWait();
  int own_status = 0;
  if (status == nullptr) status = &own_status;
  const pid_t child = wait(status, usage);
  TellIfEnded(child, *status, usage);
  return child;
}

// As wait has it, of what waitid says.
int StatusOf(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
  constexpr int kCoreFlag = 0x80;
  return (info.si_status & 0x7f) | (info.si_code == CLD_DUMPED ? kCoreFlag : 0);
}

// Notes the signal, then makes `call`, which sends it.
template <typename Call>
int NoteAndSend(pid_t target, int signal, Call call) {
  const SignalNote note = AboutToSignal(target, signal);
  const int result = call();
  if (result != 0) SignalFailed(note);
  return result;
}

// For what an old libc has no function for.
int ByKernel(long result) {
  if (!base::Failed(result)) return static_cast<int>(result);
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace

void ResolveChildHooks() {
  g_wait.get();
  g_wait3.get();
  g_waitpid.get();
  g_waitid.get();
  g_kill.get();
  g_killpg.get();
  g_tgkill.get();
  g_sigqueue.get();
  g_pidfd_send_signal.get();
  const link_map* const owner = base::FindNext("wait4").owner;
  g_wait4_serves = g_wait4.get() != nullptr && base::FindNext("waitpid").owner == owner &&
                   base::FindNext("wait").owner == owner;
}

}  // namespace heapecho::hook

using namespace heapecho;
using namespace heapecho::hook;

HEAPECHO_EXPORT pid_t wait(int* status) {
  rusage usage = {};
  return WaitAndTell(status, &usage, [](int* s, rusage* u) {
    return g_wait4_serves ? g_wait4.get()(-1, s, 0, u) : g_wait.get()(s);
  });
}
HEAPECHO_EXPORT pid_t waitpid(pid_t pid, int* status, int options) {
  rusage usage = {};
  return WaitAndTell(status, &usage, [&](int* s, rusage* u) {
    return g_wait4_serves ? g_wait4.get()(pid, s, options, u) : g_waitpid.get()(pid, s, options);
  });
}
HEAPECHO_EXPORT pid_t wait3(int* status, int options, rusage* usage) {
  rusage own_usage = {};
  return WaitAndTell(status, usage != nullptr ? usage : &own_usage,
                     [&](int* s, rusage* u) { return g_wait3.get()(s, options, u); });
}
HEAPECHO_EXPORT pid_t wait4(pid_t pid, int* status, int options, rusage* usage) {
  rusage own_usage = {};
  return WaitAndTell(status, usage != nullptr ? usage : &own_usage,
                     [&](int* s, rusage* u) { return g_wait4.get()(pid, s, options, u); });
}
HEAPECHO_EXPORT int waitid(idtype_t type, id_t id, siginfo_t* info, int options) {
  AboutToWait();
  siginfo_t own_info = {};
  if (info == nullptr) info = &own_info;
  const int result = g_waitid.get()(type, id, info, options);
  const bool ended =
      result == 0 && (options & WNOWAIT) == 0 &&
      (info->si_code == CLD_EXITED || info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED);
  if (ended) TellIfEnded(info->si_pid, StatusOf(*info), nullptr);
  return result;
}

HEAPECHO_EXPORT int kill(pid_t pid, int signal) {
  return NoteAndSend(pid, signal, [&] { return g_kill.get()(pid, signal); });
}
HEAPECHO_EXPORT int killpg(pid_t group, int signal) {
  return NoteAndSend(-group, signal, [&] { return g_killpg.get()(group, signal); });
}
HEAPECHO_EXPORT int tgkill(pid_t process, pid_t thread, int signal) {
  return NoteAndSend(process, signal, [&] {
    const auto next = g_tgkill.get();
    return next != nullptr ? next(process, thread, signal)
                           : ByKernel(base::Syscall(SYS_tgkill, process, thread, signal));
  });
}
HEAPECHO_EXPORT int sigqueue(pid_t pid, int signal, const sigval value) {
  return NoteAndSend(pid, signal, [&] { return g_sigqueue.get()(pid, signal, value); });
}
HEAPECHO_EXPORT int pidfd_send_signal(int pidfd, int signal, siginfo_t* info, unsigned flags) {
  return NoteAndSend(ProcessOfPidfd(pidfd, signal), signal, [&] {
    const auto next = g_pidfd_send_signal.get();
    constexpr long kPidfdSendSignal = 424;
    return next != nullptr ? next(pidfd, signal, info, flags)
                           : ByKernel(base::Syscall(kPidfdSendSignal, pidfd, signal, info, flags));
  });
}

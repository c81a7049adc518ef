// SPDX-License-Identifier: Apache-2.0
// fork, exec and exit, exported: each tells lifetime.h and forwards; and the library's constructor.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "preload/hook/child_hooks.h"
#include "preload/hook/children.h"
#include "preload/hook/export.h"
#include "preload/hook/library_hooks.h"
#include "preload/hook/lifetime.h"
#include "preload/hook/mapping_hooks.h"
#include "preload/hook/next.h"
#include "preload/hook/next_function.h"

namespace heapecho::hook {
namespace {

#define NEXT(name, type) constinit NextFunction<type> g_##name(#name)
NEXT(fork, pid_t (*)());
NEXT(_Fork, pid_t (*)());
NEXT(execve, int (*)(const char*, char* const*, char* const*));
NEXT(execvpe, int (*)(const char*, char* const*, char* const*));
NEXT(fexecve, int (*)(int, char* const*, char* const*));
NEXT(execveat, int (*)(int, const char*, char* const*, char* const*, int));
NEXT(_exit, void (*)(int));
NEXT(quick_exit, void (*)(int));
#undef NEXT

// So that a call from a vforked child or a signal handler finds them found.
void ResolveAll() {
  g_fork.get();
  g__Fork.get();
  g_execve.get();
  g_execvpe.get();
  g_fexecve.get();
  g_execveat.get();
  g__exit.get();
  g_quick_exit.get();
  ResolveLibraryFunctions();
  ResolveMappingFunctions();
}

// A libc that is older than the function has none.
int NotThere() {
  errno = ENOSYS;
  return -1;
}

template <typename Function, typename... Args>
int Exec(NextFunction<Function>& next, Args... args) {
  const Function function = next.get();
  if (function == nullptr) return NotThere();
  ProcessExecs();
  const int result = function(args...);  // returns only when it failed
  ExecFailed();
  return result;
}

pid_t Fork(NextFunction<pid_t (*)()>& next, bool frees_locks) {
  const auto function = next.get();
  if (function == nullptr) return NotThere();
  const uint64_t ticks = AboutToFork();
  const pid_t child = function();
  if (child == 0) AfterForkInChild(frees_locks);
  if (child > 0) Forked(child, ticks);
  return child;
}

[[noreturn]] void ExitNow(NextFunction<void (*)(int)>& next, int status) {
  ProcessExits(status);
  next.get()(status);
  __builtin_unreachable();
}

// Called among the last of exit's handlers, since it is registered first; main's return comes here
// too.
void OnExit(int status, void*) { ProcessExits(status); }

__attribute__((constructor)) void Constructor() {
  ResolveNext();
  ResolveAll();
  ResolveChildHooks();
  Initialize();
  on_exit(OnExit, nullptr);
}

}  // namespace
}  // namespace heapecho::hook

using namespace heapecho::hook;

HEAPECHO_EXPORT pid_t fork() { return Fork(g_fork, true); }
HEAPECHO_EXPORT pid_t _Fork() { return Fork(g__Fork, false); }

HEAPECHO_EXPORT int execve(const char* path, char* const argv[], char* const environment[]) {
  return Exec(g_execve, path, argv, environment);
}
HEAPECHO_EXPORT int execv(const char* path, char* const argv[]) {
  return Exec(g_execve, path, argv, environ);
}
HEAPECHO_EXPORT int execvp(const char* file, char* const argv[]) {
  return Exec(g_execvpe, file, argv, environ);
}
HEAPECHO_EXPORT int execvpe(const char* file, char* const argv[], char* const environment[]) {
  return Exec(g_execvpe, file, argv, environment);
}
HEAPECHO_EXPORT int fexecve(int fd, char* const argv[], char* const environment[]) {
  return Exec(g_fexecve, fd, argv, environment);
}
HEAPECHO_EXPORT int execveat(int directory, const char* path, char* const argv[],
                             char* const environment[], int flags) {
  return Exec(g_execveat, directory, path, argv, environment, flags);
}

// The variadic ones: their arguments as an array on the stack, as the caller's own are.
#define COUNT_ARGUMENTS(first)                                                   \
  size_t count = 1;                                                              \
  va_list list;                                                                  \
  va_start(list, first);                                                         \
  while (va_arg(list, const char*) != nullptr) ++count;                          \
  va_end(list);                                                                  \
  char* argv[count + 1]; /* NOLINT: bounded by the caller's own argument list */ \
  argv[0] = const_cast<char*>(first);                                            \
  va_start(list, first);                                                         \
  for (size_t i = 1; i <= count; ++i) argv[i] = va_arg(list, char*)

HEAPECHO_EXPORT int execl(const char* path, const char* first, ...) {
  COUNT_ARGUMENTS(first);
  va_end(list);
  return Exec(g_execve, path, static_cast<char* const*>(argv), environ);
}
HEAPECHO_EXPORT int execlp(const char* file, const char* first, ...) {
  COUNT_ARGUMENTS(first);
  va_end(list);
  return Exec(g_execvpe, file, static_cast<char* const*>(argv), environ);
}
HEAPECHO_EXPORT int execle(const char* path, const char* first, ...) {
  COUNT_ARGUMENTS(first);
  char* const* environment = va_arg(list, char* const*);
  va_end(list);
  return Exec(g_execve, path, static_cast<char* const*>(argv), environment);
}

HEAPECHO_EXPORT void _exit(int status) { ExitNow(g__exit, status); }
HEAPECHO_EXPORT void _Exit(int status) { ExitNow(g__exit, status); }
HEAPECHO_EXPORT void quick_exit(int status) { ExitNow(g_quick_exit, status); }

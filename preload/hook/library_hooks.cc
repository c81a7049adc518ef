// SPDX-License-Identifier: Apache-2.0
// dlopen and dlclose, exported: what arrives is looked at when it has arrived, what goes is
// forgotten before.
//
// dlopen takes its caller's address for whose RPATH, RUNPATH, $ORIGIN and namespace count, so it is
// jumped to, as if we were not there. Only where the caller makes no difference is it called, to
// look afterwards at what it brought: for a name with a slash and without a $. Such a name is not
// searched for, and where the loader looks for what that library needs is the library's own
// business (glibc forgets the caller by then: __RTLD_CALLMAP, since 2.3.4). Every import of
// CPython's is such a call. Who is in another namespace calls that namespace's dlopen.
#include "preload/hook/library_hooks.h"

#include <string.h>

#include "preload/hook/arrow.h"
#include "preload/hook/export.h"
#include "preload/hook/lifetime.h"
#include "preload/hook/next_function.h"
#include "preload/hook/state.h"
#include "preload/hook/thread_state.h"

namespace heapecho::hook {
namespace {

constinit NextFunction<void* (*)(const char*, int)> g_dlopen("dlopen");
constinit NextFunction<int (*)(void*)> g_dlclose("dlclose");

void* NoOpen(const char*, int) { return nullptr; }  // a libc of whose libdl nothing is loaded

}  // namespace

void ResolveLibraryFunctions() {
  g_dlopen.get();
  g_dlclose.get();
}

// The two that dlopen jumps to.
extern "C" {
__attribute__((visibility("hidden"), used)) void* HeapechoOpenAndLook(const char* name, int flags) {
  ++t_state.opening;
  void* const library = g_dlopen.get()(name, flags);
  if (--t_state.opening == 0) LookForArrow();
  return library;
}

__attribute__((visibility("hidden"), used)) void* HeapechoWayToOpen(const char* name) {
  const bool call = g_state.ready.load(std::memory_order_acquire) && name != nullptr &&
                    strchr(name, '/') != nullptr && strchr(name, '$') == nullptr;
  const auto next = g_dlopen.get();
  return reinterpret_cast<void*>(next == nullptr ? NoOpen : call ? HeapechoOpenAndLook : next);
}
}

}  // namespace heapecho::hook

using namespace heapecho::hook;

// In assembly, since a compiler promises no jump: asks which way to go, with the arguments kept,
// and goes there.
HEAPECHO_EXPORT __attribute__((naked)) void* dlopen(const char*, int) {
  __asm__(
      "pushq %rdi\n\t.cfi_adjust_cfa_offset 8\n\t"
      "pushq %rsi\n\t.cfi_adjust_cfa_offset 8\n\t"
      "subq $8, %rsp\n\t.cfi_adjust_cfa_offset 8\n\t"
      "call HeapechoWayToOpen\n\t"
      "addq $8, %rsp\n\t.cfi_adjust_cfa_offset -8\n\t"
      "popq %rsi\n\t.cfi_adjust_cfa_offset -8\n\t"
      "popq %rdi\n\t.cfi_adjust_cfa_offset -8\n\t"
      "jmp *%rax");
}

HEAPECHO_EXPORT int dlclose(void* handle) {
  LibraryMayGo();
  const int result = g_dlclose.get()(handle);
  LibraryWent();
  return result;
}

// SPDX-License-Identifier: Apache-2.0
// dlopen and dlclose, exported: what arrives is looked at when it has arrived, what goes is
// forgotten before.
//
// dlopen takes its caller's address for whose RUNPATH, RPATH and namespace count, so it is jumped
// to, as if we were not there. Only where the caller makes no difference is it called, to look
// afterwards at what it brought: for a name with a slash and without a $, which is not searched
// for, from a caller whose RPATH does not come into the search for what the library needs. Every
// import of CPython's is such a call.
#include "preload/hook/library_hooks.h"

#include <errno.h>
#include <link.h>
#include <string.h>

#include "preload/hook/arrow.h"
#include "preload/hook/export.h"
#include "preload/hook/lifetime.h"
#include "preload/hook/next_function.h"
#include "preload/hook/state.h"
#include "preload/hook/thread_state.h"
#include "preload/stack/elf_image.h"
#include "preload/stack/object_finder.h"

namespace heapecho::hook {
namespace {

constinit NextFunction<void* (*)(const char*, int)> g_dlopen("dlopen");
constinit NextFunction<int (*)(void*)> g_dlclose("dlclose");

// The executable's RPATH is searched whoever calls.
bool HasRpathOfItsOwn(const void* caller) {
  stack::MappedObject object;
  stack::ElfImage image;
  if (!stack::FindObject(reinterpret_cast<uintptr_t>(caller), &object) ||
      !stack::ReadElfImage(object.start, object.end - object.start, &image) || image.dynamic == 0) {
    return true;
  }
  const auto* const dynamic = reinterpret_cast<const ElfW(Dyn)*>(image.dynamic);
  if (_r_debug.r_map != nullptr && _r_debug.r_map->l_ld == dynamic) return false;
  bool rpath = false;
  for (const ElfW(Dyn)* entry = dynamic; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_RUNPATH) return false;  // then an RPATH counts for nothing
    rpath = rpath || entry->d_tag == DT_RPATH;
  }
  return rpath;
}

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

__attribute__((visibility("hidden"), used)) void* HeapechoWayToOpen(const char* name,
                                                                    const void* caller) {
  const int error = errno;
  const bool call = g_state.ready.load(std::memory_order_acquire) && name != nullptr &&
                    strchr(name, '/') != nullptr && strchr(name, '$') == nullptr &&
                    !HasRpathOfItsOwn(caller);
  errno = error;
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
      "movq 24(%rsp), %rsi\n\t"
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

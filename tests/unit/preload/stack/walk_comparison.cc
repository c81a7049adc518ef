// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/preload/stack/walk_comparison.h"

#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "preload/stack/capture_registers.h"

namespace heapecho::testing {
namespace {

constexpr size_t kMost = 4096;

struct ReferenceFrame {
  uintptr_t ip;
  uintptr_t sp;
  bool signal;
};

struct Walks {
  ReferenceFrame reference[kMost];
  size_t reference_count;
  int reference_end;  // what unw_step last said
  stack::NativeFrame ours[kMost];
  stack::NativeWalk walk;
  stack::NativeFrame by_known_rows[kMost];
  stack::NativeWalk walk_by_known_rows;
  stack::KnownRows known;  // of the last comparison, wherever that was
};

void Say(Comparison* comparison, const char* format, ...) __attribute__((format(printf, 2, 3)));
void Say(Comparison* comparison, const char* format, ...) {
  comparison->same = false;
  const size_t used = strlen(comparison->difference);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(comparison->difference + used, sizeof(comparison->difference) - used, format,
            arguments);
  va_end(arguments);
}

// libunwind does not say of a frame whose CFI is good that it is a signal's. What a handler returns
// to is known by its instructions: mov $15, %rax; syscall (rt_sigreturn), as debuggers know it.
bool IsSignalReturn(uintptr_t ip) {
  static constexpr unsigned char kReturn[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
  Dl_info here{};
  return dladdr(reinterpret_cast<void*>(ip), &here) != 0 &&
         memcmp(reinterpret_cast<const void*>(ip), kReturn, sizeof(kReturn)) == 0;
}

void Compare(const Walks& walks, size_t room, Comparison* comparison) {
  const stack::NativeWalk& walk = walks.walk;
  comparison->same = true;
  comparison->frames = walk.count;
  comparison->broken = walk.broken;
  comparison->truncated = walk.truncated;
  const size_t expected = walks.reference_count < room ? walks.reference_count : room;
  if (walk.count != expected) Say(comparison, "%u frames, not %zu; ", walk.count, expected);
  if (walk.truncated != (walks.reference_count > room)) Say(comparison, "truncated wrongly; ");
  if (!walk.truncated && walk.broken != (walks.reference_end < 0)) {
    Say(comparison, "broken is %d where libunwind ends with %d; ", walk.broken,
        walks.reference_end);
  }
  for (size_t i = 0; i < walk.count && i < expected; ++i) {
    const ReferenceFrame& reference = walks.reference[i];
    if (reference.signal) ++comparison->signal_frames;
    const bool exact = i > 0 && walks.reference[i - 1].signal;
    const bool last = i + 1 == walks.reference_count;
    // Below a context made by hand there is no call to point into.
    const bool made_by_hand = last && !walk.broken && walks.ours[i].cfa == 0;
    const uintptr_t ip = exact || made_by_hand ? reference.ip : reference.ip - 1;
    const uintptr_t cfa = last ? walks.ours[i].cfa : walks.reference[i + 1].sp;
    // The innermost frame is the comparing function, at two places of it.
    if ((i != 0 && walks.ours[i].ip != ip) || walks.ours[i].cfa != cfa) {
      Dl_info here{};
      dladdr(reinterpret_cast<void*>(ip), &here);
      Say(comparison, "frame %zu: ip %zx cfa %zx, not ip %zx cfa %zx (%s in %s); ", i,
          walks.ours[i].ip, walks.ours[i].cfa, ip, cfa, here.dli_sname ? here.dli_sname : "?",
          here.dli_fname ? here.dli_fname : "?");
      break;
    }
  }
}

void CompareWithKnownRows(const Walks& walks, Comparison* comparison) {
  const stack::NativeWalk& walk = walks.walk;
  const stack::NativeWalk& known = walks.walk_by_known_rows;
  if (known.count != walk.count || known.truncated != walk.truncated || known.broken != walk.broken ||
      known.interrupted != walk.interrupted) {
    Say(comparison, "by known rows another walk: %u frames; ", known.count);
    return;
  }
  for (size_t i = 0; i < walk.count; ++i) {
    if (walks.by_known_rows[i].ip != walks.ours[i].ip || walks.by_known_rows[i].cfa != walks.ours[i].cfa) {
      Say(comparison, "by known rows frame %zu is another; ", i);
      break;
    }
  }
}

}  // namespace

__attribute__((noinline)) Comparison CompareWithLibunwind(size_t room) {
  // Per thread and nesting (a signal handler may compare while a comparison is under way).
  thread_local Walks nested[3];
  thread_local int depth = 0;
  Walks& walks = nested[depth++];
  thread_local stack::StackBounds bounds{};

  stack::Registers registers;
  stack::CaptureRegisters(&registers);
  if (room > kMost) room = kMost;
  walks.walk = stack::WalkNative(registers, bounds, walks.ours, room);
  walks.walk_by_known_rows =
      stack::WalkNative(registers, bounds, walks.by_known_rows, room, &walks.known);

  unw_context_t context;
  unw_cursor_t cursor;
  unw_flush_cache(unw_local_addr_space, 0, 0);  // it keeps the rules of libraries that are gone
  unw_getcontext(&context);
  unw_init_local(&cursor, &context);
  walks.reference_count = 0;
  do {
    unw_word_t ip = 0, sp = 0;
    unw_get_reg(&cursor, UNW_REG_IP, &ip);
    unw_get_reg(&cursor, UNW_REG_SP, &sp);
    if (ip == 0) {
      walks.reference_end = 0;
      break;
    }
    walks.reference[walks.reference_count++] = {ip, sp, IsSignalReturn(ip)};
    walks.reference_end = unw_step(&cursor);
  } while (walks.reference_end > 0 && walks.reference_count < kMost);

  Comparison comparison{};
  Compare(walks, room, &comparison);
  CompareWithKnownRows(walks, &comparison);
  --depth;
  return comparison;
}

__attribute__((noinline)) Comparison CompareWithLibunwind() {
  const Comparison comparison = CompareWithLibunwind(kMost);
  __asm__ volatile("");  // no tail call: the frame is what a caller of ours is
  return comparison;
}

}  // namespace heapecho::testing

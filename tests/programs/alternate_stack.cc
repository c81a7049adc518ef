// SPDX-License-Identifier: Apache-2.0
// Promise: handlers on an alternate stack allocate, and a stack overflow is survived by jumping out
// of one.
#include <csetjmp>
#include <csignal>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 800;
sigjmp_buf g_jump;
volatile uint64_t g_handled = 0, g_overflows = 0;
}  // namespace

SITE void* site_on_alternate_stack() { return Escape(malloc(kSize)); }

namespace {

void OnUser(int) {
  site_on_alternate_stack();
  free(site_on_alternate_stack());
  g_handled = g_handled + 1;
}

void OnOverflow(int) {
  free(site_on_alternate_stack());
  siglongjmp(g_jump, 1);
}

__attribute__((noinline)) int Overflow(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return Overflow(depth + 1) + room[0];
}

__attribute__((noinline)) int RaiseDeep(int depth) {
  if (depth == 0) return raise(SIGUSR1);
  return RaiseDeep(depth - 1) + 1;
}

}  // namespace

int main() {
  constexpr size_t kStackBytes = 65536;
  stack_t stack = {};
  stack.ss_sp = truth::Notes<char>(kStackBytes);
  stack.ss_size = kStackBytes;
  truth::Require(sigaltstack(&stack, nullptr) == 0, "an alternate stack");
  struct sigaction action = {};
  action.sa_flags = SA_ONSTACK;
  action.sa_handler = OnUser;
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_handler = OnOverflow;
  sigaction(SIGSEGV, &action, nullptr);
  constexpr uint64_t kSignals = 3000, kOverflows = 20;
  for (uint64_t i = 0; i < kSignals; ++i) RaiseDeep(static_cast<int>(i % 40));
  while (g_overflows < kOverflows) {
    if (sigsetjmp(g_jump, 1) == 0)
      Overflow(0);
    else
      g_overflows = g_overflows + 1;
  }
  truth::Require(g_handled == kSignals && g_overflows == kOverflows, "every handler ran");
  truth::SaySite("site_on_alternate_stack", kSize, 2 * kSignals + kOverflows, kSignals);
  return 0;
}

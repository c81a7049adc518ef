// SPDX-License-Identifier: Apache-2.0
// Promise: coroutines on stacks of their own allocate and switch; each block is counted at its
// site. Usage: coroutines SWITCHES.
#include <ucontext.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kStackBytes = 32768, kSize = 450;
constexpr uint64_t kCoroutines = 50;

struct Coroutine {
  ucontext_t context;
  void* stack;
  uint64_t steps;
};

ucontext_t g_main;
Coroutine* g_coroutines;
uint64_t g_current;
}  // namespace

SITE void* site_coroutine() { return Escape(malloc(kSize)); }
SITE void* site_coroutine_stack() { return Escape(malloc(kStackBytes)); }

namespace {

__attribute__((noinline)) void Step(uint64_t depth) {
  if (depth > 0) {
    Step(depth - 1);
    Escape(&depth);
    return;
  }
  site_coroutine();
  Coroutine& self = g_coroutines[g_current];
  swapcontext(&self.context, &g_main);
  free(site_coroutine());
}

void Body() {
  for (;;) Step(g_coroutines[g_current].steps++ % 30);
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t switches = truth::Argument(argc, argv, 1, 5000);
  g_coroutines = truth::Notes<Coroutine>(kCoroutines);
  for (uint64_t i = 0; i < kCoroutines; ++i) {
    Coroutine& coroutine = g_coroutines[i];
    getcontext(&coroutine.context);
    coroutine.stack = site_coroutine_stack();
    coroutine.context.uc_stack.ss_sp = coroutine.stack;
    coroutine.context.uc_stack.ss_size = kStackBytes;
    coroutine.context.uc_link = &g_main;
    makecontext(&coroutine.context, Body, 0);
  }
  for (uint64_t i = 0; i < switches; ++i) {
    g_current = i % kCoroutines;
    swapcontext(&g_main, &g_coroutines[g_current].context);
  }
  // Each switch but the first to a coroutine passes its second allocation as well.
  truth::SaySite("site_coroutine", kSize, 2 * switches - kCoroutines, switches);
  truth::SaySite("site_coroutine_stack", kStackBytes, kCoroutines, kCoroutines);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Promise: longjmp and siglongjmp leave deep frames, also from a signal handler, and sampling goes
// on.
#include <csetjmp>
#include <csignal>

#include "tests/programs/truth.h"

namespace {

jmp_buf g_jump;
sigjmp_buf g_signal_jump;
constexpr size_t kKept = 100;
void* g_kept[kKept];

__attribute__((noinline)) int Descend(int depth, int round) {
  void*& slot = g_kept[static_cast<size_t>(depth + round) % kKept];
  free(slot);
  slot = truth::Escape(malloc(300));
  if (depth == 0) longjmp(g_jump, round);
  return Descend(depth - 1, round) + 1;
}

__attribute__((noinline)) int DescendAndRaise(int depth) {
  void* block = truth::Escape(malloc(200));
  free(block);
  if (depth == 0) return raise(SIGUSR1);
  return DescendAndRaise(depth - 1) + 1;
}

void Jump(int) {
  void* block = truth::Escape(malloc(100));  // safe: raise() delivers it outside of any allocation
  free(block);
  siglongjmp(g_signal_jump, 1);
}

}  // namespace

int main() {
  volatile int round = 1;
  volatile uint64_t jumped = 0, from_handler = 0;
  while (round <= 5000) {
    const int came = setjmp(g_jump);
    if (came == 0) Descend(150, round);
    jumped = jumped + static_cast<uint64_t>(came == round);
    round = round + 1;
  }
  std::signal(SIGUSR1, Jump);
  while (from_handler < 2000) {
    if (sigsetjmp(g_signal_jump, 1) == 0)
      DescendAndRaise(50);
    else
      from_handler = from_handler + 1;
  }
  truth::Say("jumped %lu from handler %lu", jumped, from_handler);
  return 0;
}

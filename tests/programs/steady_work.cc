// SPDX-License-Identifier: Apache-2.0
// Promise: whatever happens to its recording, a program's output and exit status stay what they
// are. Usage: steady_work [wait]. Ends with status 7; its sum depends on every block's contents.
// With `wait` it says "ready" halfway and goes on at the end of its input.
#include <cstring>
#include <initializer_list>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr uint64_t kRounds = 400, kKept = 2000;
}  // namespace

SITE unsigned char* site_steady(size_t size, unsigned depth) {
  // Many distinct stacks, so that every table of the recording grows.
  if (depth > 0) {
    unsigned char* block = site_steady(size, depth - 1);
    Escape(block);
    return block;
  }
  return static_cast<unsigned char*>(Escape(malloc(size)));
}

int main(int argc, char** argv) {
  const bool wait = argc > 1 && std::strcmp(argv[1], "wait") == 0;
  unsigned char** kept = truth::Notes<unsigned char*>(kKept);
  size_t* sizes = truth::Notes<size_t>(kKept);
  uint64_t sum = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    if (round == kRounds / 2 && wait) {
      truth::Say("ready");
      char c;
      while (read(STDIN_FILENO, &c, 1) > 0) {
      }
    }
    for (uint64_t i = 0; i < kKept; ++i) {
      if (kept[i] != nullptr) {
        for (size_t at : {size_t{0}, sizes[i] / 2, sizes[i] - 1}) sum = sum * 31 + kept[i][at];
        free(kept[i]);
      }
      sizes[i] = 24 + (i * 37 + round * 101) % 3000;
      kept[i] = site_steady(sizes[i], static_cast<unsigned>((i + round) % 60));
      std::memset(kept[i], static_cast<int>(i + round), sizes[i]);
    }
  }
  truth::Say("sum %lu", static_cast<unsigned long>(sum));
  return 7;
}

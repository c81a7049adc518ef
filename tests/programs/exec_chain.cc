// SPDX-License-Identifier: Apache-2.0
// Promise: a program that replaces itself has one recording a program, each but the last ended by
// exec; a refused exec ends nothing. Usage: exec_chain GENERATIONS.
#include <cerrno>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 4096;
constexpr uint64_t kBlocks = 1000;
}  // namespace

SITE void* site_generation() { return Escape(malloc(kSize)); }
SITE void* site_after_refusal() { return Escape(malloc(kSize)); }

int main(int argc, char** argv) {
  const uint64_t generations = truth::Argument(argc, argv, 1, 3);
  for (uint64_t i = 0; i < kBlocks; ++i) site_generation();
  char* const missing[] = {const_cast<char*>("/nonexistent/program"), nullptr};
  truth::Require(execv(missing[0], missing) == -1 && errno == ENOENT,
                 "a missing program is refused");
  for (uint64_t i = 0; i < kBlocks; ++i) site_after_refusal();
  truth::Say("generation %lu", generations);
  if (generations > 1) {
    char left[24];
    std::snprintf(left, sizeof(left), "%lu", generations - 1);
    char* const again[] = {argv[0], left, nullptr};
    execv("/proc/self/exe", again);
    return 90;
  }
  return 12;
}

// SPDX-License-Identifier: Apache-2.0
// Promise: under a stack deeper than is kept, the innermost frames are, and the blocks are counted.
// Usage: deep_recursion DEPTH.
#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 1500;
constexpr uint64_t kBlocks = 1000;
}  // namespace

SITE void* site_deep() { return Escape(malloc(kSize)); }

namespace {

__attribute__((noinline)) uint64_t Descend(uint64_t depth) {
  if (depth > 0) {
    const uint64_t below = Descend(depth - 1);
    Escape(&depth);
    return below + 1;
  }
  for (uint64_t i = 0; i < kBlocks; ++i) {
    void* block = site_deep();
    if (i % 2 == 1) free(block);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t depth = truth::Argument(argc, argv, 1, 5000);
  truth::Require(Descend(depth) == depth, "the recursion comes back");
  truth::SaySite("site_deep", kSize, kBlocks, kBlocks / 2);
  return 0;
}

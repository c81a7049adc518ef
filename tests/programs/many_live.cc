// SPDX-License-Identifier: Apache-2.0
// Promise: when more sampled blocks live than the live set follows, it is thinned without bias,
// whenever a block came. Usage: many_live. An early and a late site, each of small and of large
// blocks.
#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSmall = 200, kLarge = 6000;
constexpr uint64_t kSmallBlocks = 150000, kLargeBlocks = 5000;
}  // namespace

SITE void* site_early_small() { return Escape(malloc(kSmall)); }
SITE void* site_early_large() { return Escape(malloc(kLarge)); }
SITE void* site_late_small() { return Escape(malloc(kSmall)); }
SITE void* site_late_large() { return Escape(malloc(kLarge)); }

int main() {
  for (uint64_t i = 0; i < kSmallBlocks; ++i) {
    void* block = site_early_small();
    if (i % 3 == 0) free(block);
    if (i < kLargeBlocks) site_early_large();
  }
  for (uint64_t i = 0; i < kSmallBlocks; ++i) {
    void* block = site_late_small();
    if (i % 3 == 0) free(block);
    if (i < kLargeBlocks) site_late_large();
  }
  truth::SaySite("site_early_small", kSmall, kSmallBlocks, kSmallBlocks / 3 * 2);
  truth::SaySite("site_early_large", kLarge, kLargeBlocks, kLargeBlocks);
  truth::SaySite("site_late_small", kSmall, kSmallBlocks, kSmallBlocks / 3 * 2);
  truth::SaySite("site_late_large", kLarge, kLargeBlocks, kLargeBlocks);
  return 0;
}

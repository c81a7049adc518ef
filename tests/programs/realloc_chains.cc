// SPDX-License-Identifier: Apache-2.0
// Promise: realloc ends the old block at its old site and begins the new one at the caller of
// realloc. Usage: realloc_chains PERCENT. Blocks grow twice and shrink once, and stop at each stage
// in turn.
#include "tests/programs/truth.h"

namespace {
using truth::Escape;
}  // namespace

SITE void* site_chain_start(size_t size) { return Escape(malloc(size)); }
SITE void* site_chain_grow(void* block, size_t size) { return Escape(realloc(block, size)); }
SITE void* site_chain_shrink(void* block, size_t size) { return Escape(realloc(block, size)); }
SITE void* site_chain_refused(void* block) { return realloc(block, PTRDIFF_MAX / 2); }
SITE void site_chain_end(void* block) { free(block); }

int main(int argc, char** argv) {
  constexpr size_t kStart = 1000, kGrown = 3000, kLarge = 12000, kShrunk = 5000;
  const uint64_t percent = truth::Argument(argc, argv, 1, 100);
  // How many blocks stop at each stage; those that reach the end are freed.
  const uint64_t at_start = 12000 * percent / 100, at_grown = 3200 * percent / 100;
  const uint64_t at_large = 1000 * percent / 100, at_shrunk = 2500 * percent / 100;
  const uint64_t ended = 1000 * percent / 100;
  uint64_t started = 0, grown = 0, large = 0, shrunk = 0;
  const uint64_t longest = at_start;
  // One block of each kind in turn, so that all sites share the sampler's gaps.
  for (uint64_t i = 0; i < longest; ++i) {
    ++started;
    site_chain_start(kStart);
    if (i < at_grown) {
      void* block = site_chain_start(kStart);
      block = site_chain_grow(block, kGrown);
      ++started, ++grown;
      // A refused realloc leaves the block where and whose it was.
      truth::Require(site_chain_refused(block) == nullptr, "half the address space is refused");
    }
    if (i < at_large) {
      void* block = site_chain_grow(site_chain_start(kStart), kGrown);
      site_chain_grow(block, kLarge);
      ++started, ++grown, ++large;
    }
    if (i < at_shrunk) {
      void* block = site_chain_grow(site_chain_start(kStart), kGrown);
      block = site_chain_grow(block, kLarge);
      site_chain_shrink(block, kShrunk);
      ++started, ++grown, ++large, ++shrunk;
    }
    if (i < ended) {
      void* block = site_chain_grow(site_chain_start(kStart), kGrown);
      block = site_chain_shrink(site_chain_grow(block, kLarge), kShrunk);
      site_chain_end(block);
      ++started, ++grown, ++large, ++shrunk;
    }
  }
  truth::SaySite("site_chain_start", kStart, started, at_start);
  truth::SaySite("site_chain_grow", kGrown, grown, at_grown);
  truth::SaySite("site_chain_grow", kLarge, large, at_large);
  truth::SaySite("site_chain_shrink", kShrunk, shrunk, at_shrunk);
  truth::SaySite("site_chain_refused", kGrown, 0, 0);
  return 0;
}

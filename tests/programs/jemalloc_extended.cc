// SPDX-License-Identifier: Apache-2.0
// Promise: jemalloc's extended calls are seen at their callers like malloc. Usage:
// jemalloc_extended BLOCKS.
#include <jemalloc/jemalloc.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 1024, kLarger = 3000;
}  // namespace

SITE void* site_mallocx() { return Escape(mallocx(kSize, MALLOCX_ZERO)); }
SITE void* site_mallocx_aligned() { return Escape(mallocx(kSize, MALLOCX_ALIGN(256))); }
SITE void* site_rallocx(void* block) { return Escape(rallocx(block, kLarger, 0)); }

// A new size in place is a new trial, as with realloc, though nothing moves.
SITE size_t site_xallocx(void* block) { return xallocx(block, kLarger, 0, 0); }

int main(int argc, char** argv) {
  const uint64_t blocks = truth::Argument(argc, argv, 1, 100);
  for (uint64_t i = 0; i < blocks; ++i) {
    void* plain = site_mallocx();
    truth::Require(*static_cast<char*>(plain) == 0, "zeroed memory was asked for");
    truth::Require(sallocx(plain, 0) >= kSize, "a block is as large as was asked");
    if (i % 2 == 1) dallocx(plain, 0);

    void* aligned = site_mallocx_aligned();
    truth::Require(reinterpret_cast<uintptr_t>(aligned) % 256 == 0, "alignment was asked for");
    if (i % 2 == 1) sdallocx(aligned, kSize, MALLOCX_ALIGN(256));

    void* grown = site_rallocx(mallocx(kSize, 0));
    void* resized = site_rallocx(mallocx(kSize, 0));
    truth::Require(site_xallocx(resized) >= kLarger, "it keeps its size in place");
    if (i % 2 == 1) sdallocx(grown, kLarger, 0);
    if (i % 2 == 1) sdallocx(resized, kLarger, 0);
  }
  truth::Require(nallocx(kSize, 0) >= kSize, "nallocx answers");
  truth::SaySite("site_mallocx", kSize, blocks, blocks - blocks / 2);
  truth::SaySite("site_mallocx_aligned", kSize, blocks, blocks - blocks / 2);
  truth::SaySite("site_rallocx", kLarger, 2 * blocks, blocks - blocks / 2);
  truth::SaySite("site_xallocx", kLarger, blocks, blocks - blocks / 2);
  return 0;
}

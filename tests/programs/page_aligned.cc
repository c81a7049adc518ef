// SPDX-License-Identifier: Apache-2.0
// Promise: valloc and pvalloc are seen at their callers, where the allocator below has them
// (glibc). Usage: page_aligned BLOCKS.
#include <malloc.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kPage = 4096;
}  // namespace

SITE void* site_valloc() { return Escape(valloc(kPage)); }
SITE void* site_pvalloc() { return Escape(pvalloc(kPage)); }

int main(int argc, char** argv) {
  const uint64_t blocks = truth::Argument(argc, argv, 1, 100);
  for (uint64_t i = 0; i < blocks; ++i) {
    void* both[] = {site_valloc(), site_pvalloc()};
    for (void* block : both) {
      truth::Require(reinterpret_cast<uintptr_t>(block) % kPage == 0, "the block begins a page");
      if (i % 2 == 1) free(block);
    }
  }
  truth::SaySite("site_valloc", kPage, blocks, blocks - blocks / 2);
  truth::SaySite("site_pvalloc", kPage, blocks, blocks - blocks / 2);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Blocks that the sampler takes even at a huge interval; see the header.
#include "bench/sampled_blocks.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace heapecho::bench {

namespace {
constexpr size_t kPage = 4096;
}

void HoldSampledBlocks(size_t count) {
  // An allocator may write a header into each block, and with huge pages always on each such write
  // would take two megabytes.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  for (size_t i = 0; i < count; ++i) {
    void* volatile block = std::malloc(kSampledBlockBytes);
    if (block == nullptr) {
      std::fprintf(stderr, "bench: no address space for block %zu of %zu of 1 GiB each\n", i + 1,
                   count);
      std::exit(2);
    }
    const uintptr_t first = (reinterpret_cast<uintptr_t>(block) + kPage - 1) / kPage * kPage;
    madvise(reinterpret_cast<void*>(first), kSampledBlockBytes - kPage, MADV_NOHUGEPAGE);
  }
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

}  // namespace heapecho::bench

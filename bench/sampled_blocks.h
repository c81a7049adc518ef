// SPDX-License-Identifier: Apache-2.0
// Blocks that the sampler takes even at a huge interval, so that what is measured runs beside a
// filled live set.
#pragma once

#include <cstddef>

namespace heapecho::bench {

// Each block's size, in address space: only its first page is ever touched. At an interval of as
// many bytes a block is sampled with probability 1 - 1/e.
inline constexpr size_t kSampledBlockBytes = size_t{1} << 30;

// Allocates `count` such blocks and keeps them until the process ends. Without it every lookup of
// free's would read one untouched page of zeros. Call it before threads start; ends the process
// with a message when the machine does not give the address space.
void HoldSampledBlocks(size_t count);

}  // namespace heapecho::bench

// SPDX-License-Identifier: Apache-2.0
// Calls a function at a wished depth of distinct native frames, by a wished path.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::bench {

inline constexpr size_t kDeepest = 160;

// Calls `leaf(context)` below `frames` functions of this library, each different from the others,
// compiled without frame pointers, with frames of several sizes. Bit i of `path` chooses which of
// two calls in the i-th frame above the leaf is taken: two paths are two stacks that share the
// frames above their highest differing bit. frames must be within 1..kDeepest. Allocates nothing.
void CallAtDepth(size_t frames, uint64_t path, void (*leaf)(void*), void* context);

}  // namespace heapecho::bench

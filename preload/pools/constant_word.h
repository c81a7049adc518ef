// SPDX-License-Identifier: Apache-2.0
// Replaces a word of memory that its owner has made read-only, such as a slot of a vtable.
#pragma once

#include <cstdint>

namespace heapecho::pools {

// One store, which other threads see before or after; the page is writable meanwhile, and read-only
// again afterwards. False, and nothing is changed, where the kernel refuses. `word` is aligned and
// stays mapped. Signal-safe.
bool ReplaceConstantWord(uintptr_t* word, uintptr_t value);

}  // namespace heapecho::pools

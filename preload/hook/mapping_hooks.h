// SPDX-License-Identifier: Apache-2.0
// mmap and its kin, exported (mapping_hooks.cc); the constructor has them found.
#pragma once

#include <cstdint>

namespace heapecho::hook {

void ResolveMappingFunctions();

// The mmap that ours forwards to.
uintptr_t NextMmap();

}  // namespace heapecho::hook

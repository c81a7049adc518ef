// SPDX-License-Identifier: Apache-2.0
// mmap and its kin, exported (mapping_hooks.cc); the constructor has them found.
#pragma once

namespace heapecho::hook {

void ResolveMappingFunctions();

}  // namespace heapecho::hook

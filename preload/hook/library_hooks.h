// SPDX-License-Identifier: Apache-2.0
// What the constructor needs of library_hooks.cc.
#pragma once

namespace heapecho::hook {

// Finds the next dlopen and dlclose, while nothing is loaded or unloaded.
void ResolveLibraryFunctions();

}  // namespace heapecho::hook

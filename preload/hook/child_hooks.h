// SPDX-License-Identifier: Apache-2.0
// wait and kill in all their forms, exported (child_hooks.cc).
#pragma once

namespace heapecho::hook {

// Looks up what they forward to. From the library's constructor.
void ResolveChildHooks();

}  // namespace heapecho::hook

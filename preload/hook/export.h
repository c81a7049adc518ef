// SPDX-License-Identifier: Apache-2.0
// What the library shows to the loader: only functions marked so, everything else is hidden.
#pragma once

#define HEAPECHO_EXPORT extern "C" __attribute__((visibility("default")))

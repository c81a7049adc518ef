// SPDX-License-Identifier: Apache-2.0
// Where the native stack of a greenlet begins.
//
// A greenlet's C frames lie where those of whoever started it lay. Outside of its first frames, which are functions of
// greenlet's extension module, lies what happens to be there now: other greenlets' frames, or nothing that can be stepped
// over. Taken for callers they would make every sample a stack of its own.
//
// Thread-safe, signal-safe, allocates nothing.
#pragma once

#include <cstddef>

#include "preload/stack/modules.h"
#include "preload/stack/native_unwinder.h"

namespace heapecho::stack {

// Told of each module that is met or went.
void NoteIfGreenlet(const Module& module);

// Of merged frames (MergeFrames), innermost first: how many are the greenlet's that runs; `count` where none does, or
// where greenlet's module has not been met.
size_t FramesOfGreenlet(const NativeFrame* frames, size_t count);

}  // namespace heapecho::stack

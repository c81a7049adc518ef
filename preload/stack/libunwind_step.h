// SPDX-License-Identifier: Apache-2.0
// Steps over the one frame that our own reading of CFI cannot express, by libunwind.
//
// libunwind as it comes takes a lock and maps memory in each step. Here it can do neither: every
// such call is redirected at link time (libunwind_symbols.txt) to memory of ours and to locks that
// do nothing, one thread at a time is let in, and whoever comes meanwhile goes without. It reads
// through our accessors, so that no corrupt stack faults, and on a stack of our own with signals
// held back, so that the application's is not used up. When it asks for what it cannot have it is
// left by a jump and not called again.
#pragma once

#include "preload/stack/cfi.h"

namespace heapecho::stack {

// Once, from the library's constructor, after InitializeObjectFinder.
void InitializeLibunwind();

// From the registers of a frame to its caller's, by the description that holds at `lookup`, which
// lies in `section`. kDone or kOutermost (`cfa` is set in both), kBeyondUs when libunwind cannot be
// asked now, kCorrupt when it failed. Thread-safe, signal-safe, waits for nothing; a child forked
// while another thread was inside never gets in.
CfiResult StepByLibunwind(const CfiSection& section, const FrameDescription& description,
                          uintptr_t lookup, StackReader* stack, RegisterSet* registers,
                          uintptr_t* cfa);

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// The file says what private memory says: each table's mirroring, and the moment when the file
// begins.
//
// Thread-safe, signal-safe, no lock. Where no file has begun, or it has ended, every call does
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/stack/intern.h"
#include "preload/stack/modules.h"
#include "preload/wire/format.h"

namespace heapecho::hook {

// What the tables tell of themselves, as they are written.
stack::InternSink MirrorOfStacks();
void CodeWritten(size_t offset, size_t bytes);
void ModuleSeen(const stack::Module& module);
// What was learnt about the interpreter. A recording that begins later has it among its facts.
void PythonChanged(wire::IdentityKey key, const char* text);

void StackWritten(uint32_t stack);
// What the file says of a slot becomes what the live set says, whoever else is mirroring it.
void MirrorLiveSlot(uint32_t slot);
void MirrorHeader(uint64_t now);
void MirrorChild(uint32_t slot);

// Begins the file of a process that has lived or allocated long enough for one, and mirrors
// everything into it.
void BeginFileIfDue(uint64_t now);
// Begins it however little there was, since there is something to tell.
void BeginFile(uint64_t now);

// Children that cannot be recorded have said why: notes of this recording from now on.
void HearChildren();

// After an event, of a file that is written: goes on with that, if it is time.
void WriteFileIfDue(uint64_t now);

// Records of code are in the file for good; only before it begins is there need of another copy.
void ReleaseMirroredCode();

}  // namespace heapecho::hook

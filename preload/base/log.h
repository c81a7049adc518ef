// SPDX-License-Identifier: Apache-2.0
// What this library may write into somebody else's process: one complaint, and what was asked for.
#pragma once

#include <cstddef>

namespace heapecho::base {

// Remembers which file descriptor 2 is. Once, from the library's constructor.
void RememberStderr();

// Writes "heapecho: a b c\n" to descriptor 2 by one write(2): at most once in a process and its forked
// children, and only while descriptor 2 is still the file it was at start-up (daemons close it, and the number
// then names something of theirs). Null parts are left out. Signal-safe, allocates nothing, leaves errno alone.
void Complain(const char* a, const char* b = nullptr, const char* c = nullptr, const char* d = nullptr,
              const char* e = nullptr);

// Writes `line` (with its newline) to descriptor 2 by one write(2), while that still is the file it was at start-up and
// takes it without waiting. Signal-safe, allocates nothing, leaves errno alone.
void Tell(const char* line, size_t length);

}  // namespace heapecho::base

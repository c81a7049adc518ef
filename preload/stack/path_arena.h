// SPDX-License-Identifier: Apache-2.0
// File names that stay where they are for the life of the process: modules go, their names must
// not.
#pragma once

#include <cstddef>

namespace heapecho::stack {

// A NUL-terminated copy of `length` bytes in private mapped memory, never moved, never freed; a
// name given before comes back at the same address (two threads at the same moment may get two
// copies). "" when the arena is full or the kernel refuses memory. Thread-safe, signal-safe, no
// lock.
const char* KeepPath(const char* text, size_t length);

}  // namespace heapecho::stack

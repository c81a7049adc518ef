// SPDX-License-Identifier: Apache-2.0
// One instruction of Python code to its line, and whose code that is: what a parent needs to name
// in one line where a child of its held its memory.
//
// The analyzer answers both questions too, for whole profiles and in memory of its own; tests hold
// the two against each other (tests/contract/python_line_test.cc). Pure, signal-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::recording {

// The line of `instruction` (as a node has it: bytes of code, or wire::kNoInstruction) by a line
// table of one of the three forms; any bytes may be in it. 0: it has none.
uint32_t LineOfInstruction(wire::LineTable form, const uint8_t* table, size_t bytes,
                           int32_t first_line, uint32_t instruction);

// Whether code of `file` (`length` characters) is the application's own: not the standard
// library's, not an installed package's, not made up.
bool IsOwnPythonFile(const char* file, size_t length);

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// Instructions of Python code to lines of its source, from the line table that the recording keeps.
//
// Three forms of table, as CPython's Objects/lnotab_notes.txt and PEPs 626 and 657 describe them:
//   kLnotab     3.8, 3.9: pairs (bytes, signed lines); after so many bytes the line is so much
//               further
//   kLines      3.10: pairs (bytes, signed lines); so many bytes are so much further; -128: they
//               have no line
//   kLocations  3.11 on: entries of varying length; so many instructions, how much further their
//               line is, columns
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "analyzer/model/recording.h"

namespace heapecho::symbolizer {

// The line of each of `instructions` (byte offsets as model::PythonNode has them, in any order):
// what the frame's f_lineno was. 0: that instruction has no line, or lies beyond the table. Takes
// any bytes for a table; time and memory in proportion to the table and the instructions, whatever
// they hold.
std::vector<uint32_t> PythonLines(const model::PythonCode& code,
                                  absl::Span<const uint32_t> instructions);

}  // namespace heapecho::symbolizer

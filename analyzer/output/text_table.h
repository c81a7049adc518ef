// SPDX-License-Identifier: Apache-2.0
// Columns of text, aligned by what a terminal shows of them.
#pragma once

#include <string>
#include <vector>

namespace heapecho::output {

// Each row a line of its own, indented by two spaces; columns two spaces apart, the last one not
// padded. Characters count, not bytes (UTF-8). Columns listed in `right` (ascending) are flush
// right.
std::string TextTable(const std::vector<std::vector<std::string>>& rows,
                      const std::vector<size_t>& right);

// What is safe to print on a terminal: control characters, which recorded names may hold, become
// '?'.
std::string Printable(const std::string& text);

}  // namespace heapecho::output

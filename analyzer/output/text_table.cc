// SPDX-License-Identifier: Apache-2.0
// Columns of text; the contract is in the header.
#include "analyzer/output/text_table.h"

#include <algorithm>
#include <cstddef>

namespace heapecho::output {
namespace {

size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) !=
           0x80;  // not a continuation of the character before
  }));
}

}  // namespace

std::string TextTable(const std::vector<std::vector<std::string>>& rows,
                      const std::vector<size_t>& right) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += "  ";
      const std::string padding(widths[i] - Width(row[i]), ' ');
      const bool flush_right = std::binary_search(right.begin(), right.end(), i);
      if (flush_right) text += padding;
      text += row[i];
      if (!flush_right && i + 1 < row.size()) text += padding;
    }
    text += '\n';
  }
  return text;
}

std::string Printable(const std::string& text) {
  std::string printable = text;
  for (char& c : printable)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return printable;
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// Line tables of CPython; the contract is in the header.
#include "analyzer/symbolizer/python_lines.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>

#include "absl/functional/function_ref.h"

namespace heapecho::symbolizer {
namespace {

constexpr int64_t kNoLine = -1;

// Called with ascending ranges [begin, end) of bytes of code; false: no more is wanted.
using Visit = absl::FunctionRef<bool(uint64_t begin, uint64_t end, int64_t line)>;

uint8_t ByteAt(const std::string& bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

void VisitLnotab(const std::string& table, int64_t line, Visit visit) {
  uint64_t begin = 0, end = 0;
  for (size_t i = 0; i + 1 < table.size(); i += 2) {
    end += ByteAt(table, i);
    if (end != begin && !visit(begin, end, line)) return;
    begin = end;
    line += static_cast<int8_t>(table[i + 1]);
  }
  visit(begin, std::numeric_limits<uint64_t>::max(), line);
}

void VisitLines(const std::string& table, int64_t line, Visit visit) {
  constexpr int8_t kWithout = -128;
  uint64_t begin = 0;
  for (size_t i = 0; i + 1 < table.size(); i += 2) {
    const uint64_t end = begin + ByteAt(table, i);
    const auto distance = static_cast<int8_t>(table[i + 1]);
    if (distance != kWithout) line += distance;
    if (end != begin && !visit(begin, end, distance == kWithout ? kNoLine : line)) return;
    begin = end;
  }
}

// Six bits a byte, lowest first, while bit 6 is set; the lowest bit of the whole is the sign.
int64_t SignedNumber(const std::string& table, size_t at) {
  uint64_t value = 0;
  for (unsigned shift = 0; at < table.size() && shift < 36; shift += 6, ++at) {
    value |= static_cast<uint64_t>(ByteAt(table, at) & 63) << shift;
    if ((ByteAt(table, at) & 64) == 0) break;
  }
  const auto distance = static_cast<int64_t>(value >> 1);
  return (value & 1) != 0 ? -distance : distance;
}

void VisitLocations(const std::string& table, int64_t line, Visit visit) {
  constexpr uint8_t kEntry = 0x80;  // set in the first byte of each entry, in no other
  constexpr uint64_t kInstructionBytes = 2;
  enum Form : uint8_t {
    kOneLine0 = 10,
    kOneLine2 = 12,
    kNoColumns = 13,
    kLong = 14,
    kNothing = 15
  };
  uint64_t begin = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    const uint8_t first = ByteAt(table, i);
    if ((first & kEntry) == 0) continue;
    const uint8_t form = first >> 3 & 15;
    if (form == kLong || form == kNoColumns) {
      line += SignedNumber(table, i + 1);
    } else if (form >= kOneLine0 && form <= kOneLine2) {
      line += form - kOneLine0;
    }
    const uint64_t end = begin + ((first & 7) + uint64_t{1}) * kInstructionBytes;
    if (!visit(begin, end, form == kNothing ? kNoLine : line)) return;
    begin = end;
  }
}

uint32_t ToLine(int64_t line) {
  return line > 0 && line <= std::numeric_limits<int32_t>::max() ? static_cast<uint32_t>(line) : 0;
}

}  // namespace

std::vector<uint32_t> PythonLines(const model::PythonCode& code,
                                  absl::Span<const uint32_t> instructions) {
  std::vector<uint32_t> lines(instructions.size());
  std::vector<size_t> order;  // of the instructions, ascending
  for (size_t i = 0; i < instructions.size(); ++i) {
    if (instructions[i] == model::PythonNode::kNoInstruction) {
      lines[i] = ToLine(code.first_line);
    } else {
      order.push_back(i);
    }
  }
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return instructions[a] < instructions[b]; });
  size_t next = 0;
  const auto visit = [&](uint64_t begin, uint64_t end, int64_t line) {
    for (; next < order.size() && instructions[order[next]] < end; ++next)
      if (instructions[order[next]] >= begin) lines[order[next]] = ToLine(line);
    return next < order.size();
  };
  if (order.empty()) return lines;
  switch (code.table) {
    case model::LineTable::kNone:
      break;
    case model::LineTable::kLnotab:
      VisitLnotab(code.table_bytes, code.first_line, visit);
      break;
    case model::LineTable::kLines:
      VisitLines(code.table_bytes, code.first_line, visit);
      break;
    case model::LineTable::kLocations:
      VisitLocations(code.table_bytes, code.first_line, visit);
      break;
  }
  return lines;
}

}  // namespace heapecho::symbolizer

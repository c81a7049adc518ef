// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/python_line.h"

#include <string.h>

namespace heapecho::recording {
namespace {

constexpr int64_t kNoLine = -1;

int64_t ByLnotab(const uint8_t* table, size_t bytes, int64_t line, uint64_t instruction) {
  uint64_t end = 0;
  for (size_t i = 0; i + 1 < bytes; i += 2) {
    end += table[i];
    if (instruction < end) break;
    line += static_cast<int8_t>(table[i + 1]);
  }
  return line;
}

int64_t ByLines(const uint8_t* table, size_t bytes, int64_t line, uint64_t instruction) {
  constexpr int8_t kWithout = -128;
  uint64_t end = 0;
  for (size_t i = 0; i + 1 < bytes; i += 2) {
    end += table[i];
    const auto distance = static_cast<int8_t>(table[i + 1]);
    if (distance != kWithout) line += distance;
    if (instruction < end) return distance == kWithout ? kNoLine : line;
  }
  return kNoLine;
}

// Six bits a byte, lowest first, while bit 6 is set; the lowest bit of the whole is the sign.
int64_t SignedNumber(const uint8_t* table, size_t bytes, size_t at) {
  uint64_t value = 0;
  for (unsigned shift = 0; at < bytes && shift < 36; shift += 6, ++at) {
    value |= static_cast<uint64_t>(table[at] & 63) << shift;
    if ((table[at] & 64) == 0) break;
  }
  const auto distance = static_cast<int64_t>(value >> 1);
  return (value & 1) != 0 ? -distance : distance;
}

int64_t ByLocations(const uint8_t* table, size_t bytes, int64_t line, uint64_t instruction) {
  constexpr uint8_t kEntry = 0x80;  // set in the first byte of each entry, in no other
  constexpr uint64_t kInstructionBytes = 2;
  enum Form : uint8_t {
    kOneLine0 = 10,
    kOneLine2 = 12,
    kNoColumns = 13,
    kLong = 14,
    kNothing = 15
  };
  uint64_t end = 0;
  for (size_t i = 0; i < bytes; ++i) {
    const uint8_t first = table[i];
    if ((first & kEntry) == 0) continue;
    const uint8_t form = first >> 3 & 15;
    if (form == kLong || form == kNoColumns) {
      line += SignedNumber(table, bytes, i + 1);
    } else if (form >= kOneLine0 && form <= kOneLine2) {
      line += form - kOneLine0;
    }
    end += ((first & 7) + uint64_t{1}) * kInstructionBytes;
    if (instruction < end) return form == kNothing ? kNoLine : line;
  }
  return kNoLine;
}

bool Holds(const char* text, size_t length, const char* part) {
  return memmem(text, length, part, strlen(part)) != nullptr;
}

}  // namespace

uint32_t LineOfInstruction(wire::LineTable form, const uint8_t* table, size_t bytes,
                           int32_t first_line, uint32_t instruction) {
  int64_t line = kNoLine;
  if (instruction == wire::kNoInstruction) {
    line = first_line;
  } else if (form == wire::LineTable::kLnotab) {
    line = ByLnotab(table, bytes, first_line, instruction);
  } else if (form == wire::LineTable::kLines) {
    line = ByLines(table, bytes, first_line, instruction);
  } else if (form == wire::LineTable::kLocations) {
    line = ByLocations(table, bytes, first_line, instruction);
  }
  return line > 0 && line <= INT32_MAX ? static_cast<uint32_t>(line) : 0;
}

bool IsOwnPythonFile(const char* file, size_t length) {
  if (length == 0 || file[0] == '<') return false;
  static constexpr const char* kOthers[] = {"/site-packages/", "/dist-packages/", "/lib/python3",
                                            "/lib64/python3"};
  for (const char* place : kOthers) {
    if (Holds(file, length, place)) return false;
  }
  constexpr char kEnding[] = ".py";
  constexpr size_t kEndingLength = sizeof kEnding - 1;
  return !Holds(file, length, "/bin/") ||
         (length >= kEndingLength &&
          memcmp(file + length - kEndingLength, kEnding, kEndingLength) == 0);
}

}  // namespace heapecho::recording

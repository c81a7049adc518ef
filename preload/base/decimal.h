// SPDX-License-Identifier: Apache-2.0
// Numbers as decimal text, without libc's printf.
#pragma once

#include <cstdint>

namespace heapecho::base {

// Writes `value` at `out`, which has room for 20 digits, without a NUL behind it. Returns the end.
inline char* FormatDecimal(char* out, uint64_t value) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) *out++ = digits[--count];
  return out;
}

}  // namespace heapecho::base

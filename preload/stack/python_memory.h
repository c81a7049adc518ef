// SPDX-License-Identifier: Apache-2.0
// Reading CPython's objects by offset.
#pragma once

#include <cstdint>

namespace heapecho::stack {

// Whether this can be the address of an object: any that malloc or CPython's own allocator gives.
inline bool IsPointer(uintptr_t value) {
  return value % sizeof(uintptr_t) == 0 && value >= 4096 && value < uintptr_t{1} << 47;
}

template <typename T>
inline T Load(uintptr_t address) {
  T value;
  __builtin_memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

}  // namespace heapecho::stack

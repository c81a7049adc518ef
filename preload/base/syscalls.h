// SPDX-License-Identifier: Apache-2.0
// System calls made inline: libc's wrappers are cancellation points and set errno, malloc does neither.
// Each returns the kernel's word: a result, or -errno. Async-signal-safe, allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/syscall.h>

namespace heapecho::base {

#if !defined(__x86_64__)
#error "heapecho knows x86-64 Linux only"
#endif

inline long Syscall6(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

template <typename... Args>
inline long Syscall(long number, Args... args) {
  static_assert(sizeof...(Args) <= 6);
  long words[6] = {};
  size_t i = 0;
  ((words[i++] = (long)(args)), ...);  // pointers and integers alike: the kernel takes registers
  (void)i;
  return Syscall6(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

inline bool Failed(long result) { return result < 0 && result >= -4095; }

}  // namespace heapecho::base

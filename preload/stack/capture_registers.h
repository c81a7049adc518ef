// SPDX-License-Identifier: Apache-2.0
// Takes the registers of the function it is written in, so that a walk starts there.
#pragma once

#include "preload/stack/native_unwinder.h"

namespace heapecho::stack {

// Always inlined: the walk's first frame is the function that calls this, and WalkNative must be
// called before that function returns. One block of assembly, so that rip and rsp belong to one
// moment.
__attribute__((always_inline)) inline void CaptureRegisters(Registers* registers) {
  __asm__ volatile(
      "leaq 0f(%%rip), %%rax\n\t"
      "movq %%rax, 0(%0)\n\t"
      "movq %%rsp, 8(%0)\n\t"
      "movq %%rbp, 16(%0)\n\t"
      "movq %%rbx, 24(%0)\n\t"
      "movq %%r12, 32(%0)\n\t"
      "movq %%r13, 40(%0)\n\t"
      "movq %%r14, 48(%0)\n\t"
      "movq %%r15, 56(%0)\n"
      "0:"
      :
      : "r"(registers)
      : "rax", "memory");
}
static_assert(sizeof(Registers) == 8 * 8 && offsetof(Registers, ip) == 0 &&
              offsetof(Registers, sp) == 8 && offsetof(Registers, bp) == 16 &&
              offsetof(Registers, rbx) == 24 && offsetof(Registers, r12) == 32 &&
              offsetof(Registers, r13) == 40 && offsetof(Registers, r14) == 48 &&
              offsetof(Registers, r15) == 56);

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// Asks the kernel whether memory can be read, without a signal when it cannot.
#pragma once

#include <cstdint>

#include "preload/base/syscalls.h"

namespace heapecho::base {

// Whether the aligned word at `address`, and so its whole page, can be read now. rt_sigprocmask
// copies the new mask in before it looks at `how`: a nonsense `how` makes it a read and nothing
// else. One system call, no descriptor, nothing written. False where a filter refuses the call.
inline bool Readable(uintptr_t address) {
  constexpr long kNoSuchHow = 0x7fffffff;
  constexpr long kInvalid =
      -22;  // EINVAL: the mask was read, `how` was refused; EFAULT: it could not be
  constexpr long kKernelMaskBytes = 8;
  return base::Syscall(SYS_rt_sigprocmask, kNoSuchHow, address & ~uintptr_t{7}, nullptr,
                       kKernelMaskBytes) == kInvalid;
}

}  // namespace heapecho::base

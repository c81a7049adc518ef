// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/constant_word.h"

#include <sys/mman.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"

namespace heapecho::pools {

bool ReplaceConstantWord(uintptr_t* word, uintptr_t value) {
  const uintptr_t page = reinterpret_cast<uintptr_t>(word) & ~(base::kPageSize - 1);
  if (base::Failed(base::Syscall(SYS_mprotect, page, base::kPageSize, PROT_READ | PROT_WRITE)))
    return false;
  __atomic_store_n(word, value,
                   __ATOMIC_RELEASE);  // after what the new value refers to was written
  base::Syscall(SYS_mprotect, page, base::kPageSize, PROT_READ);
  return true;
}

}  // namespace heapecho::pools

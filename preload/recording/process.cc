// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/process.h"

#include <sys/mman.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"

namespace heapecho::recording {
namespace {

enum : uint32_t { kWiped = 0, kBeingSetUp = 1, kReady = 2 };

}  // namespace

bool ProcessPage::Initialize() {
  void* memory = base::MapPrivate(base::kPageSize, "heapecho process");
  if (memory == nullptr) return false;
  constexpr int kWipeOnFork = 18;  // MADV_WIPEONFORK
  if (base::Failed(base::Syscall(SYS_madvise, memory, base::kPageSize, kWipeOnFork))) {
    base::Unmap(memory, base::kPageSize);
    return false;
  }
  page_ = static_cast<Page*>(memory);
  Claim();
  return true;
}

void ProcessPage::Claim() {
  page_->pid = static_cast<uint32_t>(base::Syscall(SYS_getpid));
  page_->state.store(kReady, std::memory_order_release);  // pairs with Ask's load
}

ProcessState ProcessPage::Ask() {
  if (page_ == nullptr) return ProcessState::kForeign;
  uint32_t state = page_->state.load(std::memory_order_acquire);
  if (state == kReady) {
    // After vfork the page is the parent's own and only the number tells.
    return page_->pid == static_cast<uint32_t>(base::Syscall(SYS_getpid)) ? ProcessState::kOurs
                                                                          : ProcessState::kForeign;
  }
  if (state == kWiped && page_->state.compare_exchange_strong(state, kBeingSetUp, std::memory_order_acquire)) {
    return ProcessState::kForked;
  }
  return ProcessState::kForeign;
}

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/child_board.h"

#include "preload/base/memory.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

uint64_t RandomName() {
  uint64_t name;
  FillRandom(&name, sizeof name);
  return name | 2;
}

}  // namespace

bool ChildBoard::Initialize() {
  page_ = static_cast<Page*>(base::MapSharedMemory(sizeof(Page)));
  self_ = RandomName();
  return page_ != nullptr;
}

void ChildBoard::AfterFork() {
  parent_ = self_;
  self_ = RandomName();
  heard_.store(page_ != nullptr ? page_->told.load(std::memory_order_relaxed) : 0,
               std::memory_order_relaxed);
}

void ChildBoard::Tell(const char* text) {
  if (page_ == nullptr || parent_ == 0) return;
  for (Place& place : page_->places) {
    uint64_t free = 0;
    if (!place.to.compare_exchange_strong(free, kBeingWritten, std::memory_order_acquire)) continue;
    size_t i = 0;
    for (; i + 1 < kTextRoom && text[i] != '\0'; ++i)
      __atomic_store_n(&place.text[i], text[i], __ATOMIC_RELAXED);
    __atomic_store_n(&place.text[i], '\0', __ATOMIC_RELAXED);
    place.to.store(parent_, std::memory_order_release);  // pairs with ForEachNew
    break;
  }
  page_->told.fetch_add(1, std::memory_order_release);  // pairs with HasNews
}

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/live/free_filter.h"

#include "preload/base/counters.h"

namespace heapecho::live {
namespace {
constexpr uint8_t kStuck = 255;
}  // namespace

constinit std::atomic<uint8_t> g_filter[size_t{1} << kFilterBits] = {};

void AddToFilter(uintptr_t address) {
  std::atomic<uint8_t>& slot = g_filter[FilterSlot(address)];
  uint8_t count = slot.load(std::memory_order_relaxed);
  while (count != kStuck) {
    if (slot.compare_exchange_weak(count, static_cast<uint8_t>(count + 1),
                                   std::memory_order_relaxed)) {
      if (count + 1 == kStuck) HEAPECHO_COUNT(free_filter_saturated);
      return;
    }
  }
}

void RemoveFromFilter(uintptr_t address) {
  std::atomic<uint8_t>& slot = g_filter[FilterSlot(address)];
  uint8_t count = slot.load(std::memory_order_relaxed);
  while (count != kStuck && count != 0 &&
         !slot.compare_exchange_weak(count, static_cast<uint8_t>(count - 1),
                                     std::memory_order_relaxed)) {
  }
}

size_t FilterSlotsInUse() {
  size_t used = 0;
  for (const auto& slot : g_filter) used += slot.load(std::memory_order_relaxed) != 0;
  return used;
}

}  // namespace heapecho::live

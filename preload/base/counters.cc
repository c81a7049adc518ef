// SPDX-License-Identifier: Apache-2.0
#include "preload/base/counters.h"

namespace heapecho::base {

namespace {

constinit std::atomic<uint64_t*> g_shown = nullptr;

// However many do it at once, the last store is of what all of them had counted.
void Show(uint64_t* values, size_t counter) {
  uint64_t* const shown = values + counter * kCounterRecordWords;
  for (uint64_t value = g_counters[counter].load();;) {
    __atomic_store_n(shown, value, __ATOMIC_SEQ_CST);
    const uint64_t now = g_counters[counter].load();
    if (now == value) return;
    value = now;
  }
}

}  // namespace

constinit std::atomic<uint64_t> g_counters[kCounterCount] = {};

void ShowCountersAt(uint64_t* values) {
  g_shown.store(values);
  for (size_t i = 0; values != nullptr && i < kCounterCount; ++i) Show(values, i);
}

void Count(Counter counter, uint64_t n) {
  const size_t index = static_cast<size_t>(counter);
  g_counters[index].fetch_add(n);
  if (uint64_t* const values = g_shown.load()) Show(values, index);
}

const char* const kCounterNames[kCounterCount] = {
#define COUNTER(name, meaning) #name,
#include "preload/base/counters.inc"
#undef COUNTER
};

}  // namespace heapecho::base

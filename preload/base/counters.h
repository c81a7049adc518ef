// SPDX-License-Identifier: Apache-2.0
// The counters of loss: process-wide, relaxed, zero-initialised, never reset but in a forked child.
#pragma once

#include <atomic>
#include <cstdint>

namespace heapecho::base {

enum class Counter : uint32_t {
#define COUNTER(name, meaning) k_##name,
#include "preload/base/counters.inc"
#undef COUNTER
  kCount
};
inline constexpr size_t kCounterCount = static_cast<size_t>(Counter::kCount);

extern constinit std::atomic<uint64_t> g_counters[kCounterCount];
extern const char* const kCounterNames[kCounterCount];

inline void Count(Counter counter, uint64_t n = 1) {
  g_counters[static_cast<size_t>(counter)].fetch_add(n, std::memory_order_relaxed);
}

#define HEAPECHO_COUNT(name) ::heapecho::base::Count(::heapecho::base::Counter::k_##name)

}  // namespace heapecho::base

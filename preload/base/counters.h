// SPDX-License-Identifier: Apache-2.0
// The counters of loss: process-wide, relaxed, zero-initialised, never reset but in a forked child.
//
// Where a recording is mapped they stand in it at every moment: a process that is killed amid a storm of losses has
// just those to tell.
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

// A counter's words in a recording: its name, then its value.
inline constexpr size_t kCounterRecordWords = 6;

// From now on each count is in the recording at once: `values` is the first counter's value there, the others follow at
// kCounterRecordWords. Null: nowhere. What was counted until now is in it when the call returns.
void ShowCountersAt(uint64_t* values);

// Any thread, any signal handler.
void Count(Counter counter, uint64_t n = 1);

#define HEAPECHO_COUNT(name) ::heapecho::base::Count(::heapecho::base::Counter::k_##name)

}  // namespace heapecho::base

// SPDX-License-Identifier: Apache-2.0
#include "preload/base/counters.h"

namespace heapecho::base {

constinit std::atomic<uint64_t> g_counters[kCounterCount] = {};

const char* const kCounterNames[kCounterCount] = {
#define COUNTER(name, meaning) #name,
#include "preload/base/counters.inc"
#undef COUNTER
};

}  // namespace heapecho::base

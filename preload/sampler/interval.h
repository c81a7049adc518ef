// SPDX-License-Identifier: Apache-2.0
// The interval `auto`: how many bytes between samples, so that sampling costs a fixed share of the CPU.
#pragma once

#include <cstdint>

namespace heapecho::sampler {

inline constexpr uint64_t kAutoSmallest = 16 << 10;
inline constexpr uint64_t kAutoLargest = 16 << 20;
inline constexpr uint64_t kAutoFirst = 128 << 10;
inline constexpr double kAutoShare = 0.003;  // of the process's CPU time

// The interval to use next, from the CPU time that the process used since the last look and what of it the
// slow paths measured for themselves (both in nanoseconds). Cost is inversely proportional to the interval,
// so one step would do; it is held to a factor of two, since a short look is a noisy one. Never below
// `floor` (thinning the live set raises it). Pure.
uint64_t NextAutoInterval(uint64_t current, uint64_t own_ns, uint64_t cpu_ns, uint64_t floor);

}  // namespace heapecho::sampler

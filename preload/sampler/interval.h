// SPDX-License-Identifier: Apache-2.0
// The interval `auto`: how many bytes between samples, so that sampling costs a fixed share of the CPU.
#pragma once

#include <atomic>
#include <cstdint>

namespace heapecho::sampler {

inline constexpr uint64_t kAutoSmallest = 16 << 10;
inline constexpr uint64_t kAutoLargest = 16 << 20;
inline constexpr uint64_t kAutoFirst = 128 << 10;
inline constexpr double kAutoShare = 0.003;  // of the process's CPU time
// A process builds much of what it keeps when it begins, and each sample costs most then, since its stack is new and its
// pages are not there. So its samples may cost this many seconds of CPU more, once, half of it within the first
// kAutoFirstHalf. In the demo of 4 s of CPU the standard error of a leak of 250 MiB was 36 to 49 MiB with 0.005, 29 to 35
// with 0.01, 19 to 27 with 0.015, 17 with 0.02 (four runs each, the last one once), and recording cost 1.7, 2.0, 2.4 and
// 2.7 % in all.
inline constexpr double kAutoFirstSeconds = 0.015;
inline constexpr double kAutoFirstHalf = 0.25;

// The share of CPU time that sampling may take in a process that has used `cpu_ns` so far. Pure.
double AutoShare(uint64_t cpu_ns);

// Cost is inversely proportional to the interval, so what was measured in the past second at whatever intervals says
// which one to use. One look alone is too noisy: of some ten samples in 100 ms only a few are timed.
// Thread-safe; two threads at once lose one look. Zero-initialised.
class AutoInterval {
 public:
  // The interval to use next, in bytes. `own_ns`: what the slow paths measured for themselves since the last call, at
  // the interval `current`, of `cpu_ns` of CPU time that the process used meanwhile, and `cpu_total_ns` so far. At most
  // twice or half of `current`; never below `floor` (thinning the live set raises it).
  uint64_t Next(uint64_t current, uint64_t own_ns, uint64_t cpu_ns, uint64_t cpu_total_ns,
                uint64_t floor);

 private:
  std::atomic<double> cost_;  // own_ns times interval, and what it is a share of: both fade
  std::atomic<double> cpu_;
};

}  // namespace heapecho::sampler

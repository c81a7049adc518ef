// SPDX-License-Identifier: Apache-2.0
#include "preload/sampler/interval.h"

namespace heapecho::sampler {
namespace {

// What a look counts for one look later. They are a tenth of a second apart in a busy process.
constexpr double kFades = 0.85;

}  // namespace

double AutoShare(uint64_t cpu_ns) {
  const double seconds = 1 + static_cast<double>(cpu_ns) / 1e9;
  return kAutoShare + kAutoFirstSeconds / (seconds * seconds);
}

uint64_t AutoInterval::Next(uint64_t current, uint64_t own_ns, uint64_t cpu_ns, uint64_t cpu_total_ns,
                            uint64_t floor) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const double interval = static_cast<double>(current);
  const double cost = cost_.load(kRelaxed) * kFades + static_cast<double>(own_ns) * interval;
  const double cpu = cpu_.load(kRelaxed) * kFades + static_cast<double>(cpu_ns);
  cost_.store(cost, kRelaxed);
  cpu_.store(cpu, kRelaxed);
  double wanted = cpu > 0 ? cost / (AutoShare(cpu_total_ns) * cpu) : interval;
  if (wanted < interval / 2) wanted = interval / 2;
  if (wanted > interval * 2) wanted = interval * 2;
  uint64_t next = static_cast<uint64_t>(wanted);
  if (next < kAutoSmallest) next = kAutoSmallest;
  if (next > kAutoLargest) next = kAutoLargest;
  return next < floor ? floor : next;
}

}  // namespace heapecho::sampler

// SPDX-License-Identifier: Apache-2.0
#include "preload/sampler/interval.h"

namespace heapecho::sampler {
namespace {

// Seconds of CPU after which what was measured counts for half.
constexpr double kHalfCounts = 0.6;

}  // namespace

double AutoShare(uint64_t cpu_ns) {
  const double passed = 1 + static_cast<double>(cpu_ns) / (kAutoFirstHalf * 1e9);
  return kAutoShare + kAutoFirstSeconds / kAutoFirstHalf / (passed * passed);
}

uint64_t AutoInterval::Next(uint64_t current, uint64_t own_ns, uint64_t cpu_ns, uint64_t cpu_total_ns,
                            uint64_t floor) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const double interval = static_cast<double>(current);
  const double kept = 1 / (1 + static_cast<double>(cpu_ns) / (kHalfCounts * 1e9));
  const double cost = cost_.load(kRelaxed) * kept + static_cast<double>(own_ns) * interval;
  const double cpu = cpu_.load(kRelaxed) * kept + static_cast<double>(cpu_ns);
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

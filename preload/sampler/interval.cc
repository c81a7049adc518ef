// SPDX-License-Identifier: Apache-2.0
#include "preload/sampler/interval.h"

namespace heapecho::sampler {

uint64_t NextAutoInterval(uint64_t current, uint64_t own_ns, uint64_t cpu_ns, uint64_t floor) {
  double factor = 1;
  if (cpu_ns > 0) factor = static_cast<double>(own_ns) / (kAutoShare * static_cast<double>(cpu_ns));
  if (factor < 0.5) factor = 0.5;
  if (factor > 2) factor = 2;
  uint64_t next = static_cast<uint64_t>(static_cast<double>(current) * factor);
  if (next < kAutoSmallest) next = kAutoSmallest;
  if (next > kAutoLargest) next = kAutoLargest;
  return next < floor ? floor : next;
}

}  // namespace heapecho::sampler

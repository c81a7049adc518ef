// SPDX-License-Identifier: Apache-2.0
// The clock and the percentiles of programs that time each call by itself.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace heapecho::bench {

inline int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

// Prints `"name": {"median": ..., "max": ...}`, without a line break. Sorts `values`, of which
// there must be one.
inline void PrintDistribution(const char* name, std::vector<int64_t>& values) {
  std::sort(values.begin(), values.end());
  const auto at = [&values](double part) {
    return values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))];
  };
  std::printf("\"%s\": {\"median\": %ld, \"p90\": %ld, \"p99\": %ld, \"p999\": %ld, \"max\": %ld}",
              name, at(0.5), at(0.9), at(0.99), at(0.999), values.back());
}

}  // namespace heapecho::bench

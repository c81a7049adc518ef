// SPDX-License-Identifier: Apache-2.0
// Memory over time: as text with a line of bars for each quantity, as CSV, as one HTML page. Pure
// functions; deterministic to the byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/model/timeline.h"

namespace heapecho::output {

// The time from the first start to the last sign of life in `columns` equal parts, and in each what
// all processes together had: of levels the last one, of RSS and swap the highest.
struct TimelineGrid {
  uint64_t from_ns = 0, to_ns = 0;  // realtime
  size_t columns = 0;
  std::vector<double> rss, swap, limit, cgroup, live, threads;  // 0: not known
  std::vector<std::vector<double>> domains;                     // four of them
  std::vector<std::vector<double>> sites;                       // by Timeline::sites
  std::vector<std::vector<double>> process_rss;                 // by Timeline::processes
  // What is resident beside live memory, as the report has it: kept by allocators, heapecho's own,
  // files, stacks, the rest. Below nothing counts as nothing.
  struct Kind {
    const char* name;
    std::vector<double> values;
  };
  std::vector<Kind> kinds;
};
TimelineGrid GridOf(const model::Timeline& timeline, size_t columns);

std::string TimelineText(const model::Timeline& timeline);

// A line for each point: time (RFC 3339, UTC), host, pid, id, then amounts in bytes; the last
// columns are the sites. What is not known is empty.
std::string TimelineCsv(const model::Timeline& timeline);

// One file without script or any reference to another.
std::string TimelineHtml(const model::Timeline& timeline);

}  // namespace heapecho::output

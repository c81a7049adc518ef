// SPDX-License-Identifier: Apache-2.0
// Memory over time: the points of each process's history, with what the largest sites held. Made by
// aggregator/timeline.h, written by output/timeline.h. Plain data, deterministic order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/model/memory.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"

namespace heapecho::model {

struct TimelinePoint {
  uint64_t from_realtime_ns = 0;  // it stands for the time from here on,
  uint64_t realtime_ns = 0;       //   and is of this moment, on the clock on the wall
  HistoryPoint values;            // without stacks
  MemoryAccount memory;           // where it was then
  std::vector<double> sites;      // bytes, by Timeline::sites
};

struct TimelineProcess {
  std::string name;
  uint32_t pid = 0;
  std::string host, id, file;
  ProcessState state = ProcessState::kUnknown;
  uint64_t started_realtime_ns = 0, ended_realtime_ns = 0;  // the latter: or last seen
  std::vector<TimelinePoint> points;                        // by time; may be empty
};

struct Timeline {
  // The sites that held most at any one moment, largest first: lines of the application's own code,
  // or else functions that allocate.
  std::vector<Frame> sites;
  std::vector<TimelineProcess> processes;  // by start, then host, pid, id
  std::vector<std::string> warnings;
};

}  // namespace heapecho::model

// SPDX-License-Identifier: Apache-2.0
// Moments of processes on the clock on the wall, so that those of different boots and hosts can be
// ordered.
#pragma once

#include <cstdint>

#include "analyzer/model/report.h"

namespace heapecho::aggregator {

// Nanoseconds since 1970. `monotonic_ns` may lie before the recording began.
inline int64_t RealtimeNs(const model::Recording& recording, uint64_t monotonic_ns) {
  return static_cast<int64_t>(recording.begin_realtime_ns + (monotonic_ns - recording.begin_ns));
}
inline int64_t StartedNs(const model::Recording& recording) {
  return RealtimeNs(recording, recording.process_start_ns);
}
inline int64_t EndedNs(const model::ProcessSummary& process) {
  return RealtimeNs(process.recording, process.end.time_ns);
}

}  // namespace heapecho::aggregator

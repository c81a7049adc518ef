// SPDX-License-Identifier: Apache-2.0
// When a recorded process began and was last seen; the contract is in the header.
#include "analyzer/output/report_times.h"

#include <algorithm>
#include <cstdint>

namespace heapecho::output {
namespace {

absl::Time At(const model::Recording& recording, uint64_t monotonic_ns) {
  // The difference of two unsigned moments, whichever is the later one.
  const auto since_begin = static_cast<int64_t>(monotonic_ns - recording.begin_ns);
  return absl::FromUnixNanos(static_cast<int64_t>(recording.begin_realtime_ns)) +
         absl::Nanoseconds(since_begin);
}

}  // namespace

absl::Time StartedAt(const model::Recording& recording) {
  return At(recording, recording.process_start_ns);
}

absl::Time LastSeenAt(const model::Recording& recording) {
  return At(recording,
            std::max({recording.begin_ns, recording.last_event_ns, recording.process_end_ns}));
}

absl::Time EndedAt(const model::ProcessSummary& process) {
  return At(process.recording, process.end.time_ns);
}

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// When a recorded process began and was last seen: monotonic moments of a recording as times of
// day.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"

namespace heapecho::output {

absl::Time StartedAt(const model::Recording& recording);

// Its last event or its last word, whichever is later.
absl::Time LastSeenAt(const model::Recording& recording);

// When it was over, or last heard of (model::End::time_ns).
absl::Time EndedAt(const model::ProcessSummary& process);

std::string Rfc3339(absl::Time time);  // "2025-01-01T09:30:05.123Z"

}  // namespace heapecho::output

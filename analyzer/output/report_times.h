// SPDX-License-Identifier: Apache-2.0
// When a recorded process began and was last seen: monotonic moments of a recording as times of
// day.
#pragma once

#include "absl/time/time.h"
#include "analyzer/model/recording.h"

namespace heapecho::output {

absl::Time StartedAt(const model::Recording& recording);

// Its last event or its last word, whichever is later.
absl::Time LastSeenAt(const model::Recording& recording);

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// Running processes, a line each: what they hold now. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"

namespace heapecho::output {

struct TopProcess {
  model::Recording recording;  // reader::ReadHead
  model::ProcessState state = model::ProcessState::kUnknown;
  uint64_t rss = 0;  // bytes; 0: not known
  bool rates_known = false;
  double live_per_second = 0, allocated_per_second = 0;  // bytes, since the look before
};

enum class TopSort : uint8_t { kLive, kRss, kGrowth, kAllocated, kPid };
// "live", "rss", "growth", "allocated", "pid"; an error names the text.
absl::StatusOr<TopSort> ParseTopSort(absl::string_view text);

// Largest first; equal ones by pid.
std::string TopText(std::vector<TopProcess> processes, TopSort sort, absl::Time now);

}  // namespace heapecho::output

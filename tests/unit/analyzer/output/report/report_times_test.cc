// SPDX-License-Identifier: Apache-2.0
#include "analyzer/output/report_times.h"

#include <gtest/gtest.h>

namespace heapecho::output {
namespace {

TEST(ReportTimes, PlaceMonotonicMomentsByTheClocksOfTheBeginning) {
  model::Recording recording;
  recording.process_start_ns = 4'000'000'000;
  recording.begin_ns = 5'000'000'000;
  recording.begin_realtime_ns = 1'700'000'000'000'000'000;
  EXPECT_EQ(StartedAt(recording), absl::FromUnixSeconds(1'699'999'999));
  EXPECT_EQ(LastSeenAt(recording), absl::FromUnixSeconds(1'700'000'000));
  recording.last_event_ns = 7'000'000'000;
  EXPECT_EQ(LastSeenAt(recording), absl::FromUnixSeconds(1'700'000'002));
  recording.process_end_ns = 9'500'000'000;
  EXPECT_EQ(LastSeenAt(recording), absl::FromUnixMillis(1'700'000'004'500));
}

}  // namespace
}  // namespace heapecho::output

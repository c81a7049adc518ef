// SPDX-License-Identifier: Apache-2.0
// Histories to a timeline: sites told apart, sums by point.
#include "analyzer/aggregator/timeline.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/analyzer/aggregator/recordings.h"

namespace heapecho::aggregator {
namespace {

using heapecho::testing::InMemoryRecording;
using heapecho::testing::LineByInstruction;
using heapecho::testing::NameByAddress;

constexpr uint64_t kSecond = 1'000'000'000;

model::HistoryPoint Point(uint64_t second, std::vector<model::HistoryPoint::Held> stacks) {
  model::HistoryPoint point;
  point.time_ns = second * kSecond;
  point.from_ns = point.time_ns - kSecond / 2;
  point.realtime_ns = (1'700'000'000 + second) * kSecond;
  point.stacks = std::move(stacks);
  return point;
}

TEST(Timeline, TellsTheLargestSitesApartByWhatTheyHeldAtAnyOneMoment) {
  InMemoryRecording recording(1);
  const model::StackId a = recording.AddStack({0x1000});
  const model::StackId b = recording.AddStack({0x2000});
  const model::StackId b_too = recording.AddStack({0x9000, 0x2000});  // the same function
  const model::StackId c = recording.AddStack({0x3000});
  recording->begin_realtime_ns = 1'700'000'000 * kSecond;
  recording->history = {Point(10, {{a, 100, 0}, {b, 5000, 0}, {c, 10, 0}}),
                        Point(20, {{a, 200, 0}, {b, 60, 0}, {b_too, 40, 0}})};
  TimelineBuilder builder(2, {});
  builder.Add(*recording, model::ProcessState::kKilled);
  const model::Timeline timeline = builder.Finish(NameByAddress, LineByInstruction);
  ASSERT_EQ(timeline.sites.size(), 2u);
  EXPECT_EQ(timeline.sites[0].function, "f2000");
  EXPECT_EQ(timeline.sites[1].function, "f1000");
  ASSERT_EQ(timeline.processes.size(), 1u);
  const model::TimelineProcess& process = timeline.processes[0];
  EXPECT_EQ(process.ended_realtime_ns, (1'700'000'000 + 60) * kSecond);
  ASSERT_EQ(process.points.size(), 2u);
  EXPECT_THAT(process.points[0].sites, ::testing::ElementsAre(5000, 100));
  EXPECT_THAT(process.points[1].sites, ::testing::ElementsAre(100, 200));
  EXPECT_EQ(process.points[0].realtime_ns, (1'700'000'000 + 10) * kSecond);
  EXPECT_EQ(process.points[0].from_realtime_ns, process.points[0].realtime_ns - kSecond / 2);
}

TEST(Timeline, OneFunctionOfSeveralProcessesIsOneSite) {
  TimelineBuilder builder(8, {});
  for (const uint8_t id : {uint8_t{2}, uint8_t{1}}) {
    InMemoryRecording recording(id);
    const model::StackId stack = recording.AddStack({0x1000});
    recording->history = {Point(10, {{stack, 100.0 * id, 0}})};
    builder.Add(*recording, model::ProcessState::kRunning);
  }
  const model::Timeline timeline = builder.Finish(NameByAddress, LineByInstruction);
  ASSERT_EQ(timeline.sites.size(), 1u);
  ASSERT_EQ(timeline.processes.size(), 2u);  // by start: the first one is 1
  EXPECT_EQ(timeline.processes[0].points[0].sites[0], 100);
  EXPECT_EQ(timeline.processes[1].points[0].sites[0], 200);
}

TEST(Timeline, LeavesOutTheProcessesThatWereNotAskedFor) {
  Where where;
  where.pids = {102};
  TimelineBuilder builder(8, where);
  for (const uint8_t id : {uint8_t{1}, uint8_t{2}})
    builder.Add(*InMemoryRecording(id), model::ProcessState::kRunning);
  const model::Timeline timeline = builder.Finish(NameByAddress, LineByInstruction);
  ASSERT_EQ(timeline.processes.size(), 1u);
  EXPECT_EQ(timeline.processes[0].pid, 102u);
}

}  // namespace
}  // namespace heapecho::aggregator

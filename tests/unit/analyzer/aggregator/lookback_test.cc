// SPDX-License-Identifier: Apache-2.0
// Moments of a process's life: what was live at one, and what came and went since one.
#include "analyzer/aggregator/lookback.h"

#include <cmath>
#include <random>

#include "analyzer/aggregator/aggregator.h"
#include "gtest/gtest.h"
#include "tests/unit/analyzer/aggregator/recordings.h"

namespace heapecho::aggregator {
namespace {

using heapecho::testing::InMemoryRecording;
using heapecho::testing::LineByInstruction;
using heapecho::testing::NameByAddress;

constexpr uint64_t kSecond = 1'000'000'000;

// A process from second 0 to second 100 with three stacks.
class Lookback : public ::testing::Test {
 protected:
  Lookback() : recording_(1) {
    a_ = recording_.AddStack({0x1000});
    b_ = recording_.AddStack({0x2000});
    c_ = recording_.AddStack({0x3000});
    recording_->last_event_ns = 100 * kSecond;
    recording_->begin_realtime_ns = 1'700'000'000 * kSecond;
    recording_->events_complete_from_ns = 80 * kSecond;
    for (model::Stack& stack : recording_->stacks) stack.allocated = {1000, 10, 0, 0};
  }

  model::HistoryPoint& AddPoint(uint64_t second, double live) {
    model::HistoryPoint point;
    point.time_ns = point.from_ns = second * kSecond;
    point.realtime_ns = recording_->begin_realtime_ns + second * kSecond;
    point.live.bytes = live;
    recording_->history.push_back(point);
    return recording_->history.back();
  }
  void AddBlockAt(model::StackId stack, uint64_t size, double weight, uint64_t second) {
    recording_.AddBlock(stack, size, weight).time_ns = second * kSecond;
  }

  InMemoryRecording recording_;
  model::StackId a_, b_, c_;
};

TEST_F(Lookback, AreNamedByTimeByTimeOfDayAndBeforeTheEnd) {
  recording_->process_start_ns = 0;
  // Second 0 is 2023-11-14 22:13:20.
  const auto of = [&](const char* text) {
    const auto spec = ParseMoment(text);
    EXPECT_TRUE(spec.ok()) << text;
    return MonotonicOf(*recording_, *spec) / kSecond;
  };
  EXPECT_EQ(of("2023-11-14 22:13:50"), 30u);
  EXPECT_EQ(of("2023-11-14T22:13:50Z"), 30u);
  EXPECT_EQ(of("2023-11-14T22:13:50.999Z"), 30u);
  EXPECT_EQ(of("2023-11-14 22:14"), 40u);
  EXPECT_EQ(of("22:13:50"), 30u);
  EXPECT_EQ(of("22:14"), 40u);
  EXPECT_EQ(of("22:16"), 0u);  // of the day before, so before the process
  EXPECT_EQ(of("30s"), 70u);
  EXPECT_EQ(of("1m"), 40u);
  EXPECT_EQ(of("1.5min"), 10u);
  EXPECT_EQ(of("2h"), 0u);
  for (const char* wrong : {"", "soon", "25:00", "10", "10x", "-5s", "2023-11-14", "nan s", "1e30d"})
    EXPECT_FALSE(ParseMoment(wrong).ok()) << wrong;
}

TEST_F(Lookback, AClockThatWasSetMeanwhileIsFollowed) {
  AddPoint(10, 0);
  AddPoint(50, 0).realtime_ns += 3600 * kSecond;  // set an hour forward between the two
  EXPECT_EQ(MonotonicOf(*recording_, *ParseMoment("2023-11-14 22:13:40")) / kSecond, 20u);
  EXPECT_EQ(MonotonicOf(*recording_, *ParseMoment("2023-11-14 23:14:20")) / kSecond, 60u);
  EXPECT_EQ(absl::ToUnixSeconds(TimeOf(*recording_, 60 * kSecond)), 1'700'000'000 + 3660);
  EXPECT_EQ(absl::ToUnixSeconds(TimeOf(*recording_, 20 * kSecond)), 1'700'000'000 + 20);
}

TEST_F(Lookback, WhatWasLiveIsKnownBlockByBlockAsFarAsTheEventsReach) {
  AddBlockAt(a_, 100, 1, 70);   // live then and now
  AddBlockAt(a_, 200, 1, 95);   // not yet
  const auto freed = [&](uint64_t size, uint64_t from, uint64_t to) {
    model::Event event;
    event.kind = model::Event::Kind::kFree;
    event.stack = b_;
    event.size = size;
    event.weight = 2;
    event.allocated_ns = from * kSecond;
    event.time_ns = to * kSecond;
    recording_->events.push_back(event);
  };
  freed(10, 50, 85);  // gone before
  freed(20, 50, 92);  // live then, gone since
  freed(40, 93, 94);  // came and went since
  AddPoint(60, 1);
  const LiveMoment moment = LiveAt(*recording_, 90 * kSecond);
  ASSERT_EQ(moment.source, LiveMoment::Source::kBlocks);
  EXPECT_EQ(moment.time_ns, 90 * kSecond);
  ASSERT_EQ(moment.blocks.size(), 2u);
  EXPECT_EQ(moment.blocks[0].size, 100u);
  EXPECT_EQ(moment.blocks[1].size, 20u);
  EXPECT_EQ(moment.blocks[1].weight, 2);
  EXPECT_EQ(moment.blocks[1].stack, b_);
}

TEST_F(Lookback, BeforeTheEventsTheNearestPointOfTheHistoryAnswers) {
  AddPoint(10, 1);
  AddPoint(40, 2);
  const LiveMoment moment = LiveAt(*recording_, 30 * kSecond);
  ASSERT_EQ(moment.source, LiveMoment::Source::kPoint);
  EXPECT_EQ(moment.time_ns, 40 * kSecond);
  EXPECT_EQ(moment.point, &recording_->history[1]);
}

TEST_F(Lookback, BeforeItBeganAndAfterItEndedAProcessHoldsNothing) {
  AddPoint(10, 1);
  recording_->process_start_ns = 5 * kSecond;
  EXPECT_EQ(LiveAt(*recording_, 4 * kSecond).source, LiveMoment::Source::kNothing);
  recording_->process_end = model::ProcessEnd::kExited;
  recording_->process_end_ns = 100 * kSecond;
  EXPECT_EQ(LiveAt(*recording_, 101 * kSecond).source, LiveMoment::Source::kNothing);
  EXPECT_EQ(LiveAt(*recording_, 100 * kSecond).source, LiveMoment::Source::kBlocks);
}

TEST_F(Lookback, GrowthIsWhatCameLessWhatWentAndOnlyThatHasAnError) {
  AddBlockAt(a_, 1000, 4, 10);  // stays: 4000
  AddBlockAt(a_, 500, 2, 60);   // came: 1000, variance 1000^2 / 2
  AddBlockAt(b_, 300, 1, 20);   // stays: 300
  model::HistoryPoint& point = AddPoint(50, 6000);
  point.stacks = {{a_, 4000, 4000.0 * 4000 * 0.75}, {b_, 2000, 900}};
  const Growth growth = GrowthSince(*recording_, 51 * kSecond);
  EXPECT_TRUE(growth.from_point);
  EXPECT_EQ(growth.from_ns, 50 * kSecond);
  EXPECT_EQ(growth.to_ns, 100 * kSecond);
  const StackGrowth& a = growth.stacks[a_.value];
  EXPECT_EQ(a.came.bytes, 1000);
  EXPECT_EQ(a.came.bytes_variance, 500000);
  EXPECT_EQ(a.went.bytes, 0);
  EXPECT_EQ(a.went.bytes_variance, 0);  // what stayed is the same sample at both moments
  EXPECT_EQ(a.samples, 1u);
  EXPECT_EQ(a.oldest_ns, 40 * kSecond);
  EXPECT_EQ(a.byte_seconds, 1000 * 40);
  const StackGrowth& b = growth.stacks[b_.value];
  EXPECT_EQ(b.came.bytes, 0);
  EXPECT_EQ(b.went.bytes, 1700);
  EXPECT_EQ(b.went.bytes_variance, 900);
  EXPECT_EQ(b.went.objects, 17);  // of its mean size
}

TEST_F(Lookback, AStackThatThePointDoesNotListHasNotGrownByWhatMayHaveBeenThere) {
  AddBlockAt(a_, 5000, 1, 60);
  AddBlockAt(b_, 20000, 1, 60);
  AddBlockAt(c_, 5000, 1, 60);
  recording_->stacks[c_.value].first_seen_ns = 55 * kSecond;  // it was not there at all
  model::HistoryPoint& point = AddPoint(50, 100000);
  point.unlisted_most = 8000;
  point.unlisted_live = 16000;
  const Growth growth = GrowthSince(*recording_, 50 * kSecond);
  const auto grown = [&](model::StackId stack) {
    return growth.stacks[stack.value].came.bytes - growth.stacks[stack.value].went.bytes;
  };
  EXPECT_EQ(grown(a_), 0);
  EXPECT_EQ(grown(b_), 12000);
  EXPECT_EQ(grown(c_), 5000);
}

TEST_F(Lookback, WithoutAPointSoNearTheWholeLifeIsTheWindow) {
  AddBlockAt(a_, 1000, 1, 10);
  recording_->process_start_ns = 2 * kSecond;
  EXPECT_FALSE(GrowthSince(*recording_, 50 * kSecond).from_point);
  AddPoint(60, 0);
  EXPECT_TRUE(GrowthSince(*recording_, 50 * kSecond).from_point);
  const Growth whole = GrowthSince(*recording_, 5 * kSecond);
  EXPECT_FALSE(whole.from_point);
  EXPECT_EQ(whole.from_ns, 2 * kSecond);
  EXPECT_EQ(whole.stacks[a_.value].came.bytes, 1000);
}

TEST_F(Lookback, TheLastRiseBeginsWhereTheLastPlateauEnds) {
  for (uint64_t second = 1; second < 100; ++second)
    AddPoint(second, second < 90 ? 1000 + static_cast<double>(second % 7) * 20
                                 : 1000 + static_cast<double>(second - 89) * 100);
  recording_->live.bytes = 2100;
  EXPECT_EQ(LastPlateauNs(*recording_) / kSecond, 90u);
  recording_->live.bytes = 1090;
  EXPECT_EQ(LastPlateauNs(*recording_), 0u);  // nothing rose beyond a tenth
}

TEST_F(Lookback, APointCountsForThePlateauAsLongAsItWasTheLastOne) {
  // Ten points in the last second, at 2000, against one minute at 1000.
  AddPoint(10, 1000);
  AddPoint(40, 1000);
  AddPoint(70, 1000);
  for (uint64_t i = 0; i < 10; ++i) {
    model::HistoryPoint& point = AddPoint(99, 2000);
    point.time_ns += i * 1000;
  }
  recording_->live.bytes = 2000;
  EXPECT_EQ(LastPlateauNs(*recording_) / kSecond, 70u);
}

model::Report Finish(Aggregator& aggregator) {
  return aggregator.Finish(NameByAddress, LineByInstruction);
}

TEST_F(Lookback, ASlowLeakAmongLargeChurnIsFirstInWhatGrew) {
  // A cache of 10 MB that is renewed all the time, sampled at 1 in 50; a leak of 1 % of its traffic.
  std::mt19937_64 random(1);
  std::poisson_distribution<int> cache(200), leaked(25);
  const auto add = [&](model::StackId stack, int count, uint64_t from, uint64_t to) {
    for (int i = 0; i < count; ++i) {
      AddBlockAt(stack, 1000, 50, from);
      recording_->live_blocks.back().time_ns += random() % ((to - from) * kSecond);
    }
  };
  model::HistoryPoint& point = AddPoint(50, 0);
  const int cached_then = cache(random);
  point.stacks = {{a_, cached_then * 50000.0, cached_then * 2.5e9}, {b_, 25 * 50000.0, 25 * 2.5e9}};
  add(a_, cache(random), 95, 100);
  add(b_, 25, 0, 50);
  add(b_, leaked(random), 50, 100);
  Options options;
  options.value = model::Value::kGrown;
  Aggregator aggregator(options);
  aggregator.Add(*recording_, model::ProcessState::kKilled);
  const model::Report report = Finish(aggregator);
  EXPECT_TRUE(report.profile.compared);
  ASSERT_EQ(report.groups.size(), 2u);
  EXPECT_EQ(report.profile.frames[report.groups[0].frame.value].function, "f2000");
  EXPECT_NEAR(report.groups[0].growth.per_second, 25000, 3 * 5000);
  EXPECT_EQ(report.processes[0].growth.seconds, 50);
}

TEST_F(Lookback, AnEarlierMomentIsShownFromAPointWithTheRestAsOneStack) {
  model::HistoryPoint& point = AddPoint(50, 9000);
  point.stacks = {{a_, 6000, 100}, {b_, 2000, 100}};
  point.unlisted_live = 1000;
  point.domain_live[0] = 9000;
  AddBlockAt(c_, 77, 1, 90);
  Options options;
  options.at = *ParseMoment("45s");
  options.at_text = "45s";
  Aggregator aggregator(options);
  aggregator.Add(*recording_, model::ProcessState::kKilled);
  const model::Report report = Finish(aggregator);
  EXPECT_EQ(report.profile.total.bytes, 9000);
  EXPECT_EQ(report.profile.samples.size(), 3u);
  const model::ProcessSummary& process = report.processes[0];
  EXPECT_TRUE(process.moment.known && process.moment.by_point);
  EXPECT_EQ(process.moment.off_seconds, -5);
  EXPECT_EQ(process.moment.unlisted, 1000);
  EXPECT_EQ(process.live[0].bytes, 9000);
}

TEST_F(Lookback, AReportOfWhatIsLiveSaysWhatRoseAtTheEnd) {
  for (uint64_t second = 1; second < 90; ++second) AddPoint(second, 10000);
  recording_->history.back().stacks = {{a_, 10000, 0}};
  AddBlockAt(a_, 10000, 1, 5);
  AddBlockAt(b_, 5000, 1, 95);
  recording_->live.bytes = 15000;
  Aggregator aggregator({});
  aggregator.Add(*recording_, model::ProcessState::kKilled);
  const model::Report report = Finish(aggregator);
  ASSERT_FALSE(report.rising.empty());
  EXPECT_EQ(report.profile.frames[report.rising[0].frame.value].function, "f2000");
  EXPECT_EQ(report.rising[0].estimate.bytes, 5000);
  EXPECT_EQ(report.processes[0].growth.came.bytes, 5000);
  EXPECT_EQ(report.profile.total.bytes, 15000);  // and what is live is what it was
}

}  // namespace
}  // namespace heapecho::aggregator

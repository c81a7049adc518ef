// SPDX-License-Identifier: Apache-2.0
// A timeline on a grid, as text, CSV and HTML.
#include "analyzer/output/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/analyzer/output/golden.h"

namespace heapecho::output {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kStart = 1'700'000'000 * kSecond;
constexpr double kMiB = 1 << 20;

model::TimelinePoint Point(uint64_t second, uint64_t rss_mib, uint64_t most_mib, double live_mib) {
  model::TimelinePoint point;
  point.realtime_ns = kStart + second * kSecond;
  point.from_realtime_ns = point.realtime_ns - kSecond;
  point.values.rss_known = true;
  point.values.rss_anon = rss_mib << 20;
  point.values.rss_most = most_mib << 20;
  point.values.live.bytes = live_mib * kMiB;
  point.values.domain_live[0] = live_mib * kMiB;
  point.values.threads = 3;
  point.sites = {live_mib * kMiB / 2};
  return point;
}

// Two workers: the first one lives for ten seconds and is killed, the second one begins then.
model::Timeline Workers() {
  model::Timeline timeline;
  timeline.sites = {{model::Frame::Kind::kPython, "load", "/srv/shop/views.py", 88, "", false}};
  model::TimelineProcess first, second;
  first.name = second.name = "gunicorn";
  first.pid = 412;
  second.pid = 413;
  first.host = second.host = "web,1";
  first.id = "aa";
  second.id = "bb";
  first.state = model::ProcessState::kKilled;
  second.state = model::ProcessState::kRunning;
  first.started_realtime_ns = kStart;
  first.ended_realtime_ns = kStart + 10 * kSecond;
  second.started_realtime_ns = kStart + 10 * kSecond;
  second.ended_realtime_ns = kStart + 20 * kSecond;
  first.points = {Point(2, 100, 100, 64), Point(8, 200, 300, 128)};
  second.points = {Point(12, 50, 50, 32), Point(19, 60, 60, 33)};
  first.points[0].values.cgroup_limit = first.points[1].values.cgroup_limit = 512 << 20;
  first.points[1].values.cgroup_known = true;
  first.points[1].values.cgroup_current = 256 << 20;
  timeline.processes = {first, second};
  return timeline;
}

TEST(TimelineGrid, HasTheLastLevelAndTheHighestRssOfEachColumn) {
  const TimelineGrid grid = GridOf(Workers(), 4);  // five seconds each
  EXPECT_EQ(grid.from_ns, kStart);
  EXPECT_EQ(grid.to_ns, kStart + 20 * kSecond);
  EXPECT_THAT(grid.live, ElementsAre(64 * kMiB, 128 * kMiB, 128 * kMiB + 32 * kMiB, 33 * kMiB));
  EXPECT_THAT(grid.rss, ElementsAre(100 * kMiB, 300 * kMiB, 200 * kMiB + 50 * kMiB, 60 * kMiB));
  EXPECT_THAT(grid.sites[0], ElementsAre(32 * kMiB, 64 * kMiB, 80 * kMiB, 16.5 * kMiB));
  EXPECT_THAT(grid.process_rss[1], ElementsAre(0, 0, 50 * kMiB, 60 * kMiB));
  EXPECT_THAT(grid.limit, ElementsAre(512 * kMiB, 512 * kMiB, 512 * kMiB, 0));
}

TEST(Timeline, ShowsWhatIsResidentBesideLiveMemoryByKind) {
  model::Timeline timeline = Workers();
  EXPECT_THAT(TimelineText(timeline), Not(HasSubstr("kept by malloc"))) << "nobody knows";
  EXPECT_THAT(TimelineHtml(timeline), Not(HasSubstr("by kind")));
  model::MemoryAccount& memory = timeline.processes[0].points[1].memory;
  memory.known = true;
  memory.rss = 200 * kMiB;
  memory.live = {128 * kMiB, 0, 0, 0};
  memory.retained.malloc = 40 * kMiB;
  const TimelineGrid grid = GridOf(timeline, 4);
  EXPECT_STREQ(grid.kinds[1].name, "kept by malloc");
  EXPECT_THAT(grid.kinds[1].values, ElementsAre(0, 40 * kMiB, 40 * kMiB, 0));
  EXPECT_THAT(grid.kinds.back().values, ElementsAre(0, 32 * kMiB, 32 * kMiB, 0));
  EXPECT_THAT(TimelineText(timeline), HasSubstr("kept by malloc"));
  EXPECT_THAT(TimelineHtml(timeline), HasSubstr("<h2>Resident memory by kind</h2>"));
  EXPECT_THAT(TimelineCsv(timeline), HasSubstr(",0,41943040,,,0,0,,33554432,"));
}

TEST(TimelineGrid, OfNothingIsEmptyAndNoTrap) {
  const TimelineGrid grid = GridOf({}, 3);
  EXPECT_THAT(grid.live, ElementsAre(0, 0, 0));
  EXPECT_THAT(TimelineText({}), HasSubstr("0 processes"));
  EXPECT_THAT(TimelineHtml({}), HasSubstr("</html>"));
}

TEST(TimelineText, OfTwoWorkersIsTheGolden) {
  EXPECT_TRUE(IsGolden("timeline/workers.txt", TimelineText(Workers())));
}

TEST(TimelineCsv, OfTwoWorkersIsTheGolden) {
  EXPECT_TRUE(IsGolden("timeline/workers.csv", TimelineCsv(Workers())));
}

TEST(TimelineHtml, NeedsNothingButItselfAndNoScript) {
  const std::string page = TimelineHtml(Workers());
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, HasSubstr("load shop/views.py:88"));
  EXPECT_THAT(page, HasSubstr("gunicorn 412 on web,1, killed, most 300 MiB"));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
}

TEST(Timeline, HoldsNoNameThatIsMarkupOrControl) {
  model::Timeline hostile = Workers();
  hostile.sites[0].function = "</title><script>x\n\x1b[31m";
  hostile.processes[0].name = "<b>\n";
  hostile.warnings = {"<i>\x07"};
  EXPECT_THAT(TimelineHtml(hostile), Not(HasSubstr("<script")));
  EXPECT_THAT(TimelineHtml(hostile), Not(HasSubstr("<b>")));
  EXPECT_THAT(TimelineHtml(hostile), Not(HasSubstr("<i>\x07")));
  for (const std::string& text : {TimelineText(hostile), TimelineCsv(hostile)}) {
    for (const char c : text)
      EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  }
}

}  // namespace
}  // namespace heapecho::output

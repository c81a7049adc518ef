// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/growth_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/aggregator/steady_growth.h"

namespace heapecho::aggregator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr double kMiB = 1 << 20;
constexpr uint64_t kSecond = 1'000'000'000;

// Looks ten seconds apart at one stack that then held so many MiB, each within a standard error.
std::vector<model::HistoryPoint> Series(const std::vector<double>& mebibytes, double error = 0) {
  std::vector<model::HistoryPoint> history;
  for (const double held : mebibytes) {
    model::HistoryPoint& point = history.emplace_back();
    point.time_ns = 10 * kSecond * history.size();
    const double variance = error * kMiB * error * kMiB * static_cast<double>(history.size());
    point.stacks.push_back({.stack = {1}, .bytes = held * kMiB, .bytes_variance = variance});
  }
  return history;
}

std::vector<SteadyStack> Find(const std::vector<model::HistoryPoint>& history) {
  return FindSteadyGrowth(history, std::vector<model::Stack>(3), {}, {});
}

TEST(SteadyGrowth, IsWhatEachLookFindsLarger) {
  const auto found = Find(Series({1, 3, 5, 7, 9, 11, 13, 15, 17}));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].stack.value, 1U);
  EXPECT_EQ(found[0].before, 1 * kMiB);
  EXPECT_EQ(found[0].after, 17 * kMiB);
  EXPECT_EQ(found[0].from_ns, 10 * kSecond);
  EXPECT_EQ(found[0].to_ns, 90 * kSecond);
  EXPECT_EQ(found[0].looks, 9U);
}

TEST(SteadyGrowth, IsNotWhatFellOnce) {
  EXPECT_THAT(Find(Series({1, 3, 5, 7, 4, 11, 13, 15, 17})), IsEmpty());
}

TEST(SteadyGrowth, IsNotWhatAServiceBuildsUpWhenItStarts) {
  EXPECT_THAT(Find(Series({1, 10, 15, 16, 16, 16, 16, 16, 16.5})), IsEmpty());
}

TEST(SteadyGrowth, IsNotAStepAtTheEnd) {
  EXPECT_THAT(Find(Series({1, 1, 1, 1, 1, 1, 1, 1, 17})), IsEmpty());
}

TEST(SteadyGrowth, NeedsEightLooksAndHalfAMinute) {
  EXPECT_THAT(Find(Series({1, 3, 5, 7, 9, 11, 13})), IsEmpty());
  auto quick = Series({1, 3, 5, 7, 9, 11, 13, 15, 17});
  for (model::HistoryPoint& point : quick) point.time_ns /= 10;
  EXPECT_THAT(Find(quick), IsEmpty());
}

TEST(SteadyGrowth, IsBeyondItsError) {
  EXPECT_THAT(Find(Series({1, 3, 5, 7, 9, 11, 13, 15, 17}, 1.3)), SizeIs(1));
  EXPECT_THAT(Find(Series({1, 3, 5, 7, 9, 11, 13, 15, 17}, 1.5)), IsEmpty());
}

TEST(SteadyGrowth, OfAStackThatIsNotAlwaysListedIsNoFall) {
  auto history = Series({1, 3, 5, 7, 9, 11, 13, 15, 17, 19});
  history[4].stacks.clear();
  EXPECT_THAT(Find(history), SizeIs(1));
}

TEST(SteadyGrowth, OfOneFunctionCountsTogether) {
  // Two stacks through one function: each alone is too little.
  std::vector<model::HistoryPoint> history;
  for (int i = 0; i < 10; ++i) {
    model::HistoryPoint& point = history.emplace_back();
    point.time_ns = 10 * kSecond * history.size();
    for (const uint32_t stack : {1U, 2U})
      point.stacks.push_back({.stack = {stack}, .bytes = (1 + 0.3 * i) * kMiB});
  }
  EXPECT_THAT(Find(history), IsEmpty());
  std::vector<model::Stack> stacks(3);
  stacks[1].python_leaf = stacks[2].python_leaf = 1;
  const std::vector<model::PythonNode> nodes = {{}, {.parent = 0, .code = 1}};
  std::vector<model::PythonCode> code(2);
  code[1].file = "/srv/app/views.py";
  EXPECT_THAT(FindSteadyGrowth(history, stacks, nodes, code), SizeIs(1));
}

model::Frame Python(const std::string& function, const std::string& file, uint32_t line = 7) {
  model::Frame frame;
  frame.kind = model::Frame::Kind::kPython;
  frame.function = function;
  frame.file = file;
  frame.line = line;
  return frame;
}

model::Report WithGrowth(const std::string& cache) {
  model::Report report;
  model::ProcessSummary& process = report.processes.emplace_back();
  process.name = "gunicorn";
  process.recording.pid = 7;
  process.growing.push_back({.frame = Python("remember", "/srv/app/views.py", 12),
                             .cache = cache,
                             .since_realtime_ns = 1'763'690'400 * kSecond,
                             .seconds = 3600,
                             .before = 10 * kMiB,
                             .after = 82 * kMiB,
                             .error = 2 * kMiB,
                             .looks = 40});
  return report;
}

TEST(GrowthFindings, SayHowFastSinceWhenAndHowSure) {
  const std::vector<model::Finding> findings = FindGrowthFindings(WithGrowth(""));
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].rule, "growing_site");
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("remember (views.py:12) of gunicorn 7"),
                    HasSubstr("from 10.0 to 82.0 MiB (+72.0 ± 2.0) since 2025-11-21 02:00:00 UTC"),
                    HasSubstr("1.2 MiB a minute"), HasSubstr("40 looks")));
}

TEST(GrowthFindings, NameTheCacheThatHasNoBound) {
  const model::Finding finding =
      FindGrowthFindings(WithGrowth("functools.cache, which has no bound"))[0];
  EXPECT_EQ(finding.rule, "unbounded_cache");
  EXPECT_THAT(finding.text, AllOf(HasSubstr("functools.cache"), HasSubstr("maxsize=")));
}

TEST(GrowthFindings, KnowACacheByFunctoolsOrByItsName) {
  const auto cache_of = [](const std::vector<model::Frame>& frames) {
    std::vector<const model::Frame*> pointers;
    for (const model::Frame& frame : frames) pointers.push_back(&frame);
    return CacheOf(pointers);
  };
  model::Frame wrapper;
  wrapper.function = "infinite_lru_cache_wrapper";
  model::Frame bounded;
  bounded.function = "bounded_lru_cache_wrapper";
  const model::Frame view = Python("view", "/srv/app/views.py");
  const model::Frame load = Python("load", "/srv/app/data.py");
  EXPECT_THAT(cache_of({view, wrapper, load}), HasSubstr("functools.cache"));
  EXPECT_EQ(cache_of({view, bounded, load}), "");
  EXPECT_EQ(cache_of({view, load}), "");
  EXPECT_THAT(cache_of({view, Python("Store.get_cached", "/srv/app/data.py")}),
              HasSubstr("Store.get_cached (data.py:7)"));
  EXPECT_EQ(cache_of({Python("cache", "/usr/lib/python3.11/site-packages/x/y.py")}), "");
}

TEST(GrowthFindings, KnowLabelsThatExploded) {
  model::Report report;
  report.profile.frames = {
      Python("Middleware.__call__", "/srv/app/middleware.py", 31),
      Python("MetricWrapperBase.labels", "/venv/site-packages/prometheus_client/metrics.py", 190)};
  model::Sample sample;
  sample.frames = {{0}, {1}};
  sample.estimate = {.bytes = 15 * kMiB, .objects = 99'000};
  report.profile.samples = {sample};
  EXPECT_THAT(FindGrowthFindings(report), IsEmpty());
  report.profile.samples[0].estimate.objects = 100'000;
  const std::vector<model::Finding> findings = FindGrowthFindings(report);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].rule, "label_explosion");
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("100000 objects"),
                    HasSubstr("most of them by Middleware.__call__ (middleware.py:31)")));
  report.profile.frames[1].file = "/srv/app/labels.py";
  EXPECT_THAT(FindGrowthFindings(report), IsEmpty());
}

}  // namespace
}  // namespace heapecho::aggregator

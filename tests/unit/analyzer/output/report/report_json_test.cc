// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "analyzer/output/report.h"
#include "tests/unit/analyzer/output/golden.h"
#include "tests/unit/analyzer/output/report/reports.h"

namespace heapecho::output {
namespace {

using nlohmann::json;

TEST(ReportJson, OfAServiceIsTheGolden) {
  EXPECT_TRUE(IsGolden("report/gunicorn.json", ReportJson(GunicornReport())));
}

TEST(ReportJson, SaysWhoWroteARecordingAndHowItEnded) {
  const json report = json::parse(ReportJson(GunicornReport()));
  EXPECT_EQ(report["schema"], 1);
  ASSERT_EQ(report["recordings"].size(), 3U);
  const json& master = report["recordings"][0];
  const json& worker = report["recordings"][1];
  EXPECT_FALSE(master.contains("parent_id"));
  EXPECT_FALSE(master.contains("container"));
  EXPECT_EQ(master["end"], "running");
  EXPECT_FALSE(master.contains("exit_status"));
  EXPECT_EQ(worker["parent_id"], master["id"]);
  EXPECT_EQ(worker["pid"], 4101);
  EXPECT_EQ(worker["ppid"], 4100);
  EXPECT_EQ(worker["command"][4], "shop.wsgi");
  EXPECT_EQ(worker["end"], "killed");
  EXPECT_EQ(worker["started_at"], "2025-11-21T02:00:01.000Z");
  EXPECT_EQ(worker["last_seen_at"], "2025-11-21T02:13:22.000Z");
  EXPECT_EQ(worker["drops"]["stack_unknown"], 12345);
  EXPECT_EQ(worker["drops"]["no_scratch_buffer"], 0);
  EXPECT_EQ(worker["live"]["bytes"], 812 << 20);
  EXPECT_EQ(worker["live"]["bytes_error"], 12000000);
  EXPECT_EQ(worker["domains"]["malloc"]["peak"]["objects"], 3000000);
  EXPECT_FALSE(worker["domains"].contains("arrow"));
  EXPECT_EQ(report["recordings"][2]["exit_status"], 3);
}

TEST(ReportJson, ListsSitesLargestFirstWithFramesInnermostFirst) {
  const json report = json::parse(ReportJson(GunicornReport()));
  ASSERT_EQ(report["sites"].size(), 4U);
  const json& site = report["sites"][1];
  EXPECT_EQ(site["domain"], "malloc");
  EXPECT_EQ(site["bytes"], 100 << 20);
  EXPECT_EQ(site["objects"], 100000);
  EXPECT_EQ(site["oldest_s"], 30.25);
  ASSERT_EQ(site["frames"].size(), 4U);
  EXPECT_EQ(site["frames"][0]["function"], "operator new(unsigned long)");
  EXPECT_FALSE(site["frames"][0].contains("line"));
  const json leak = {{"kind", "native"},
                     {"function", "shop::leak(int)"},
                     {"file", "/src/shop/leak.cc"},
                     {"line", 88},
                     {"module", "_shop.so"}};
  EXPECT_EQ(site["frames"][1], leak);
}

TEST(ReportJson, HasPythonFramesWithTheirWholePaths) {
  const json frames = json::parse(ReportJson(DjangoReport()))["sites"][0]["frames"];
  EXPECT_EQ(frames[2], json({{"kind", "python"},
                             {"function", "Orders.get"},
                             {"file", "/srv/shop/orders/views.py"},
                             {"line", 88}}));
}

TEST(ReportJson, SaysWhetherPythonFramesWereWalked) {
  model::Report report = DjangoReport();
  EXPECT_EQ(json::parse(ReportJson(report))["recordings"][0]["python"],
            json({{"version", "3.11.7"}, {"walk", "full"}}));
  report.processes[0].recording.identity.python_walk = "native-only: free-threaded: no GIL";
  EXPECT_EQ(
      json::parse(ReportJson(report))["recordings"][0]["python"],
      json({{"version", "3.11.7"}, {"walk", "native-only"}, {"reason", "free-threaded: no GIL"}}));
  EXPECT_FALSE(json::parse(ReportJson(GunicornReport()))["recordings"][0].contains("python"));
}

TEST(ReportJson, SaysHowTheFileWasKept) {
  model::Report report = GunicornReport();
  model::Recording& first = report.processes[0].recording;
  first.keeping = model::Keeping::kWritten;
  first.write_pause_ns = 2'000'000'000;
  first.write_longest_ns = 1'234'567;
  const json parsed = json::parse(ReportJson(report));
  EXPECT_EQ(parsed["recordings"][0]["keeping"], "written");
  EXPECT_EQ(parsed["recordings"][0]["written"],
            (json{{"asked_for", false}, {"pause_ms", 2000.0}, {"longest_ms", 1.23}}));
  EXPECT_EQ(parsed["recordings"][1]["keeping"], "mapped");
  EXPECT_FALSE(parsed["recordings"][1].contains("written"));
}

TEST(ReportJson, CountsThreadsAsFarAsTheyAreKnown) {
  const json recordings = json::parse(ReportJson(GunicornReport()))["recordings"];
  EXPECT_EQ(recordings[0]["threads"], json({{"seen", 1200}}));
  EXPECT_EQ(recordings[1]["threads"], json({{"seen", 2400}, {"at_most", 4}}));
}

TEST(ReportJson, HasEachDomainThatWasUsedWithItsErrors) {
  model::Report report = GunicornReport();
  report.processes[1].live[1] = {
      .bytes = 5000, .objects = 70, .bytes_variance = 900, .objects_variance = 16};
  const json domains = json::parse(ReportJson(report))["recordings"][1]["domains"];
  EXPECT_EQ(domains["python"]["live"],
            json({{"bytes", 5000}, {"bytes_error", 30}, {"objects", 70}, {"objects_error", 4}}));
  EXPECT_EQ(domains["python"]["peak"]["bytes"], 0);
  EXPECT_TRUE(domains.contains("malloc"));
  EXPECT_FALSE(domains.contains("mmap"));
}

TEST(ReportJson, SaysWhatEachThatItIsToldApartByHas) {
  model::Report report = GunicornReport();
  EXPECT_FALSE(json::parse(ReportJson(report)).contains("shares"));
  report.by = "thread";
  report.shares = {{"gunicorn 4101 / loop (a.py), 40 threads", {.bytes = 4000, .objects = 4}}};
  const json parsed = json::parse(ReportJson(report));
  EXPECT_EQ(parsed["by"], "thread");
  EXPECT_EQ(parsed["shares"][0]["name"], "gunicorn 4101 / loop (a.py), 40 threads");
  EXPECT_EQ(parsed["shares"][0]["bytes"], 4000);
}

TEST(ReportJson, ListsAsManySitesAsAsked) {
  EXPECT_EQ(json::parse(ReportJson(GunicornReport(), 1))["sites"].size(), 1U);
  EXPECT_EQ(json::parse(ReportJson(GunicornReport(), 0))["sites"].size(), 0U);
}

TEST(ReportJson, HasAgesOnlyOfWhatIsLive) {
  model::Report report = GunicornReport();
  report.profile.value = model::Value::kAllocated;
  EXPECT_FALSE(json::parse(ReportJson(report))["sites"][0].contains("oldest_s"));
}

TEST(ReportJson, IsValidWhateverARecordingHolds) {
  const json report = json::parse(ReportJson(HostileReport()));
  EXPECT_EQ(report["recordings"][0]["file"], "r\"\n.heapecho");
  EXPECT_EQ(report["recordings"][0]["command"][1], "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(report["recordings"][0]["drops"]["c\t"], UINT64_MAX);
  EXPECT_EQ(report["sites"][0]["bytes"], uint64_t{1} << 53);
  EXPECT_EQ(report["sites"][0]["frames"][0]["function"], "f\n\033\"\\");
}

TEST(ReportJson, OfNothingHasItsKeys) {
  EXPECT_EQ(json::parse(ReportJson({})), json({{"schema", 1},
                                               {"recordings", json::array()},
                                               {"sites", json::array()},
                                               {"workers", json::array()},
                                               {"findings", json::array()},
                                               {"warnings", json::array()}}));
}

TEST(ReportJson, SaysHowAKilledProcessEndedAndWhatSpeaksForIt) {
  model::Report report = GunicornReport();
  report.processes[1].end.signal = 9;
  report.processes[1].end.oom_kill = model::OomKill::kLikely;
  report.processes[1].end.evidence = "its control group was full";
  report.processes[1].end.peak_rss = 900 << 20;
  report.processes[1].end.memory_limit = 1 << 30;
  const json worker = json::parse(ReportJson(report))["recordings"][1];
  EXPECT_EQ(worker["end"], "killed");
  EXPECT_EQ(worker["signal"], 9);
  EXPECT_EQ(worker["oom_kill"], "likely");
  EXPECT_EQ(worker["end_evidence"], "its control group was full");
  EXPECT_EQ(worker["memory"]["peak_rss_bytes"], 900 << 20);
  EXPECT_EQ(worker["memory"]["cgroup_limit_bytes"], 1 << 30);
  EXPECT_FALSE(worker["memory"].contains("cgroup_current_bytes")) << "nobody knows";
}

}  // namespace
}  // namespace heapecho::output

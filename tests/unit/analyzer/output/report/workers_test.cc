// SPDX-License-Identifier: Apache-2.0
#include "analyzer/output/workers.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gtest/gtest.h"
#include "tests/unit/analyzer/output/golden.h"
#include "tests/unit/analyzer/output/report/reports.h"

namespace heapecho::output {
namespace {

using nlohmann::json;

// Two workers of the master: one OOM-killed, one that exited.
model::Report WithWorkers() {
  model::Report report = GunicornReport();
  model::ProcessSummary& worker = report.processes[1];
  worker.end.signal = 9;
  worker.end.oom_kill = model::OomKill::kYes;
  worker.end.peak_rss = 2000 << 20;
  worker.end.memory_limit = uint64_t{2} << 30;
  model::TopSite top;
  top.frame.kind = model::Frame::Kind::kPython;
  top.frame.function = "load";
  top.frame.file = "/srv/shop/views.py";
  top.frame.line = 88;
  top.estimate = {.bytes = 406 << 20, .objects = 10};
  worker.top_site = top;
  model::WorkerGroup group;
  group.parent_id = report.processes[0].recording.id;
  group.parent_pid = 4100;
  group.name = "gunicorn";
  group.host = "web-1";
  group.generations = {1, 2};
  group.restart_loop = true;
  report.workers = {group};
  model::Finding finding;
  finding.rule = "restart_loop";
  finding.severity = model::Severity::kCritical;
  finding.text = "restart loop: they \x1b[31mdie";
  finding.evidence = {{"workers", uint64_t{3}}, {"ids", std::vector<std::string>{"a", "b"}}};
  report.findings = {finding};
  return report;
}

TEST(Workers, OfAServiceAreTheGolden) {
  EXPECT_TRUE(IsGolden("report/workers.txt", WorkersText(WithWorkers())));
}

TEST(Workers, SayWhatEachGenerationNeededAndHeld) {
  const json workers = json::parse(WorkersJson(WithWorkers()))["workers"];
  ASSERT_EQ(workers.size(), 1U);
  EXPECT_EQ(workers[0]["parent_pid"], 4100);
  EXPECT_EQ(workers[0]["restart_loop"], true);
  const json& killed = workers[0]["generations"][0];
  EXPECT_EQ(killed["pid"], 4101);
  EXPECT_EQ(killed["end"], "killed");
  EXPECT_EQ(killed["signal"], 9);
  EXPECT_EQ(killed["oom_kill"], "yes");
  EXPECT_EQ(killed["peak_rss_bytes"], 2000 << 20);
  EXPECT_EQ(killed["lifetime_s"], 801.0);
  EXPECT_EQ(killed["top_site"]["function"], "load");
  const json& exited = workers[0]["generations"][1];
  EXPECT_EQ(exited["exit_status"], 3);
  EXPECT_FALSE(exited.contains("signal"));
  EXPECT_FALSE(exited.contains("peak_rss_bytes")) << "nobody knows";
}

TEST(Findings, HaveTheirEvidenceInTheReportsJson) {
  const json finding = json::parse(WorkersJson(WithWorkers()))["findings"][0];
  EXPECT_EQ(finding["rule"], "restart_loop");
  EXPECT_EQ(finding["severity"], "critical");
  EXPECT_EQ(finding["evidence"], json({{"workers", 3}, {"ids", {"a", "b"}}}));
}

TEST(Findings, CannotWriteToATerminalWhatTheyLike) {
  EXPECT_EQ(FindingsText(WithWorkers()), "Findings\n  critical: restart loop: they ?[31mdie\n\n");
  EXPECT_EQ(FindingsText(GunicornReport()), "");
}

TEST(Workers, ThatAreNoneSaySo) {
  EXPECT_EQ(WorkersText(GunicornReport()), "no workers: no process is another one's child\n");
}

}  // namespace
}  // namespace heapecho::output

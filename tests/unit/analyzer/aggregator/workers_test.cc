// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/workers.h"

#include <signal.h>

#include <vector>

#include "analyzer/aggregator/findings.h"
#include "gtest/gtest.h"

namespace heapecho::aggregator {
namespace {

using model::OomKill;
using model::ProcessState;
using model::ProcessSummary;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kMiB = 1 << 20;

class Loop : public testing::Test {
 protected:
  Loop() { Add(0, 1'000'000, 1).end.state = ProcessState::kRunning; }

  // A worker of the first process, that lived from one second to another.
  ProcessSummary& Add(uint64_t started, uint64_t ended, uint64_t peak_mib) {
    ProcessSummary process;
    process.name = "gunicorn";
    model::Recording& recording = process.recording;
    recording.id.bytes[0] = static_cast<uint8_t>(report_.processes.size() + 1);
    recording.pid = static_cast<uint32_t>(100 + report_.processes.size());
    recording.ppid = 1;
    if (!report_.processes.empty()) {
      recording.parent_id = report_.processes[0].recording.id;
      recording.forked_at_ns = 1;
      recording.ppid = 100;
    }
    recording.begin_realtime_ns = 1'700'000'000 * kSecond + started * kSecond;
    recording.process_start_ns = recording.begin_ns = started * kSecond;
    recording.identity.host = "web-1";
    recording.identity.command = {"gunicorn", "app"};
    process.end.time_ns = ended * kSecond;
    process.end.peak_rss = peak_mib * kMiB;
    process.live[0].bytes = static_cast<double>(peak_mib * kMiB) * 0.9;
    report_.processes.push_back(process);
    return report_.processes.back();
  }
  void AddKilled(uint64_t started, uint64_t ended, uint64_t peak_mib, int signal = SIGKILL) {
    model::End& end = Add(started, ended, peak_mib).end;
    end.state = ProcessState::kKilled;
    end.signal = signal;
  }
  void AddOomKilled(uint64_t started, uint64_t ended, uint64_t peak_mib) {
    AddKilled(started, ended, peak_mib);
    report_.processes.back().end.oom_kill = OomKill::kYes;
  }
  void AddExited(uint64_t started, uint64_t ended, uint64_t peak_mib, int status = 0) {
    model::End& end = Add(started, ended, peak_mib).end;
    end.state = ProcessState::kExited;
    end.exit_status = status;
  }
  // How many workers the loop has, 0 if there is none.
  size_t LengthOfLoop() {
    report_.workers = FindWorkers(report_.processes);
    if (report_.workers.size() != 1) return 999;
    const size_t length = RestartLoop(report_.processes, report_.workers[0]).size();
    EXPECT_EQ(report_.workers[0].restart_loop, length != 0);
    return length;
  }

  model::Report report_;
};

TEST_F(Loop, IsThreeOomKillsInARow) {
  AddOomKilled(1, 10, 500);
  AddOomKilled(11, 20, 300);  // at the limit all the same: another worker may have held the rest
  EXPECT_EQ(LengthOfLoop(), 0u);
  AddOomKilled(21, 30, 500);
  EXPECT_EQ(LengthOfLoop(), 3u);
}

TEST_F(Loop, GoesByTheOrderOfEndsOfWorkersThatLiveSideBySide) {
  AddOomKilled(1, 30, 500);
  AddExited(2, 40, 500);
  AddOomKilled(3, 20, 500);
  AddOomKilled(4, 10, 500);
  EXPECT_EQ(LengthOfLoop(), 3u);
}

TEST_F(Loop, IsBrokenByAWorkerThatEndsInGoodOrder) {
  AddOomKilled(1, 10, 500);
  AddOomKilled(11, 20, 500);
  AddExited(21, 30, 500);
  AddOomKilled(31, 40, 500);
  EXPECT_EQ(LengthOfLoop(), 0u);
}

TEST_F(Loop, IsNoneWhereWorkersAreReplacedInGoodOrder) {
  for (uint64_t i = 0; i < 20; ++i) AddExited(10 * i, 10 * i + 9, 500);
  EXPECT_EQ(LengthOfLoop(), 0u);
}

TEST_F(Loop, IsThatOfAKillerWhoWatchesOverALimit) {
  AddKilled(1, 10, 500);
  AddKilled(11, 20, 510);
  AddKilled(21, 30, 495);
  EXPECT_EQ(LengthOfLoop(), 3u);
}

TEST_F(Loop, IsNoneWhereKillsComeAtRandom) {
  AddKilled(1, 10, 500);
  AddKilled(11, 20, 120);
  AddKilled(21, 30, 300);
  AddKilled(31, 40, 90);
  EXPECT_EQ(LengthOfLoop(), 0u);
}

TEST_F(Loop, IsNoneWhereTheRecordedHeapIsASmallPartOfWhatWasHeld) {
  for (uint64_t i = 0; i < 5; ++i) {
    AddKilled(10 * i, 10 * i + 9, 100);
    report_.processes.back().live[0].bytes = 20 << 20;
  }
  EXPECT_EQ(LengthOfLoop(), 0u);
}

TEST_F(Loop, IsOneOfWorkersThatExitWithOneStatusAtOneLimit) {
  for (uint64_t i = 0; i < 3; ++i) AddExited(10 * i, 10 * i + 9, 500, 1);
  EXPECT_EQ(LengthOfLoop(), 3u);
  report_.processes.back().end.exit_status = 2;
  EXPECT_EQ(LengthOfLoop(), 0u);
}

TEST_F(Loop, IsNoneOfTimeOuts) {
  for (uint64_t i = 0; i < 5; ++i) {
    AddKilled(10 * i, 10 * i + 9, 500);
    report_.processes.back().end.timed_out = true;
  }
  EXPECT_EQ(LengthOfLoop(), 0u);
  const std::vector<model::Finding> findings = FindFindings(report_);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].rule, "worker_timeouts");
}

TEST_F(Loop, FindsAWorkersParentByItsPidWhereItKnowsNoRecordingOfIt) {
  AddOomKilled(1, 10, 500);
  report_.processes.back().recording.parent_id = {};
  report_.workers = FindWorkers(report_.processes);
  ASSERT_EQ(report_.workers.size(), 1u);
  EXPECT_EQ(report_.workers[0].parent_id, report_.processes[0].recording.id);
}

TEST_F(Loop, IsFoundInAContainerThatIsRestartedWithItsOnlyProcess) {
  report_.processes.clear();
  for (uint64_t i = 0; i < 3; ++i) {
    AddOomKilled(10 * i, 10 * i + 9, 500);
    model::Recording& recording = report_.processes.back().recording;
    recording.parent_id = {};
    recording.ppid = 0;
    recording.pid = 1;
    recording.pid_namespace = static_cast<uint32_t>(i);
    recording.identity.container = std::string(64, static_cast<char>('a' + i));
  }
  EXPECT_EQ(LengthOfLoop(), 3u);
}

TEST_F(Loop, HasNothingToDoWithCommandsThatWereRunAndEndedWell) {
  for (uint64_t i = 0; i < 5; ++i) {
    AddExited(10 * i, 10 * i + 9, 500);
    report_.processes.back().recording.forked_at_ns = 0;
    report_.processes.back().recording.parent_id = {};
  }
  EXPECT_TRUE(FindWorkers(report_.processes).empty());
}

TEST_F(Loop, IsAFindingWithItsEvidence) {
  for (uint64_t i = 0; i < 3; ++i) {
    AddOomKilled(10 * i, 10 * i + 7 + i, 490 + 10 * i);
    ProcessSummary& process = report_.processes.back();
    process.end.memory_limit = 512 * kMiB;
    model::TopSite top;
    top.frame.function = "load";
    top.frame.file = "/srv/shop/views.py";
    top.frame.line = 88;
    process.top_site = top;
  }
  EXPECT_EQ(LengthOfLoop(), 3u);
  const std::vector<model::Finding> findings = FindFindings(report_);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].severity, model::Severity::kCritical);
  EXPECT_EQ(findings[0].text,
            "restart loop: 3 workers in a row of gunicorn under 100 on web-1 were OOM-killed with "
            "490 MiB to 510 MiB resident, their control group's limit being 512 MiB; they lived "
            "7.0 s to 9.0 s; most was held by load (views.py:88); `heapecho workers` has each of "
            "them");
  EXPECT_EQ(findings[0].evidence[1].first, "workers");
  EXPECT_EQ(std::get<uint64_t>(findings[0].evidence[1].second), 3u);
}

class Instances : public Loop {};

TEST_F(Instances, OfOneCommandOnTwoHostsAtOneTimeAreAFinding) {
  AddExited(10, 100, 50);
  report_.processes.back().recording.identity.host = "web-2";
  const std::vector<model::Finding> findings = FindFindings(report_);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].rule, "several_instances");
  EXPECT_EQ(std::get<std::vector<std::string>>(findings[0].evidence[1].second),
            (std::vector<std::string>{"web-1", "web-2"}));
}

TEST_F(Instances, ThatFollowedEachOtherOrRunOtherCommandsAreNone) {
  report_.processes[0].end.time_ns = 5 * kSecond;
  AddExited(10, 100, 50);
  report_.processes.back().recording.identity.host = "web-2";
  AddExited(1, 100, 50);
  report_.processes.back().recording.identity.host = "web-3";
  report_.processes.back().recording.identity.command = {"celery"};
  EXPECT_TRUE(FindFindings(report_).empty());
}

}  // namespace
}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/memory_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heapecho::aggregator {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kMiB = 1 << 20;

// A process of a megabyte count resident, which looked at its control group.
model::ProcessSummary& AddProcess(model::Report& report, uint64_t rss_mib) {
  model::ProcessSummary& process = report.processes.emplace_back();
  process.name = "gunicorn";
  process.recording.pid = 100 + static_cast<uint32_t>(report.processes.size());
  process.recording.id.bytes[0] = static_cast<uint8_t>(report.processes.size());
  process.recording.threads_seen = 17;
  process.recording.cgroup_limit = 2048 * kMiB;
  process.recording.cgroup.time_ns = 5;
  process.end.memory_limit = 2048 * kMiB;
  process.memory.known = true;
  process.memory.rss = static_cast<double>(rss_mib * kMiB);
  return process;
}

std::vector<std::string> RulesOf(const model::Report& report) {
  std::vector<std::string> rules;
  for (const model::Finding& finding : FindMemoryFindings(report)) rules.push_back(finding.rule);
  return rules;
}

TEST(MemoryFindings, KnowWhatGlibcsArenasKeepAndWhatHelps) {
  model::Report report;
  model::ProcessSummary& process = AddProcess(report, 1000);
  process.memory.retained.malloc = 199.0 * kMiB;
  EXPECT_THAT(RulesOf(report), IsEmpty()) << "less than a fifth";
  process.memory.retained.malloc = 610.0 * kMiB;
  const std::vector<model::Finding> findings = FindMemoryFindings(report);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "malloc_keeps");
  EXPECT_EQ(findings[0].severity, model::Severity::kWarning);
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("610 of the 1000 MiB that gunicorn 101"), HasSubstr("17 threads"),
                    HasSubstr("MALLOC_ARENA_MAX=2"), HasSubstr("--allocator jemalloc")));
  EXPECT_EQ(std::get<double>(findings[0].evidence[1].second), 610.0 * kMiB);
}

TEST(MemoryFindings, AdviseByTheAllocatorThatServed) {
  model::Report report;
  model::ProcessSummary& process = AddProcess(report, 1000);
  process.memory.retained.malloc = 610.0 * kMiB;
  process.recording.identity.allocator = "/usr/lib/libjemalloc.so.2";
  EXPECT_THAT(FindMemoryFindings(report)[0].text, HasSubstr("dirty_decay_ms"));
}

TEST(MemoryFindings, SayNothingOfLittleMemory) {
  model::Report report;
  AddProcess(report, 40).memory.retained.malloc = 31.0 * kMiB;
  EXPECT_THAT(RulesOf(report), IsEmpty());
  AddProcess(report, 40).memory.retained.malloc = 33.0 * kMiB;
  EXPECT_THAT(RulesOf(report), ElementsAre("malloc_keeps"));
  report.processes[1].memory.known = false;
  EXPECT_THAT(RulesOf(report), IsEmpty());
}

TEST(MemoryFindings, NameTheWorstAndCountTheOthers) {
  model::Report report;
  AddProcess(report, 200).memory.retained.python = 90.0 * kMiB;
  AddProcess(report, 300).memory.retained.python = 120.0 * kMiB;
  AddProcess(report, 300).memory.retained.python = 5.0 * kMiB;
  const std::vector<model::Finding> findings = FindMemoryFindings(report);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "python_keeps");
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("120 of the 300 MiB that gunicorn 102"),
                    HasSubstr("(and 1 more process alike)"), HasSubstr("max-requests")));
}

TEST(MemoryFindings, KnowWhatArrowsPoolsKeep) {
  model::Report report;
  AddProcess(report, 600).memory.retained.arrow = 400.0 * kMiB;
  EXPECT_THAT(FindMemoryFindings(report)[0].text,
              AllOf(HasSubstr("400 of the 600 MiB"), HasSubstr("release_unused()")));
}

TEST(MemoryFindings, TellPageCacheFromALeak) {
  model::Report report;
  model::Recording& recording = AddProcess(report, 100).recording;
  recording.cgroup_current = 1500 * kMiB;
  recording.cgroup.anon = 400 * kMiB;
  recording.cgroup.file = 1000 * kMiB;
  recording.cgroup.shmem = 10 * kMiB;
  const std::vector<model::Finding> findings = FindMemoryFindings(report);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "page_cache");
  EXPECT_EQ(findings[0].severity, model::Severity::kNotice);
  EXPECT_THAT(findings[0].text, AllOf(HasSubstr("990 of the 1500 MiB"), HasSubstr("400 MiB")));
  recording.cgroup.file = 500 * kMiB;
  EXPECT_THAT(RulesOf(report), IsEmpty());
  recording.cgroup.file = 1000 * kMiB;
  recording.cgroup_limit = 0;
  EXPECT_THAT(RulesOf(report), IsEmpty()) << "nobody looks at a group without a limit";
}

TEST(MemoryFindings, TellTmpfsFromALeak) {
  model::Report report;
  model::Recording& recording = AddProcess(report, 100).recording;
  recording.cgroup_current = 1000 * kMiB;
  recording.cgroup.file = 420 * kMiB;
  recording.cgroup.shmem = 400 * kMiB;
  EXPECT_THAT(RulesOf(report), ElementsAre("shared_memory"));
  recording.cgroup.shmem = 190 * kMiB;
  EXPECT_THAT(RulesOf(report), IsEmpty());
}

TEST(MemoryFindings, OfAGroupAreThoseOfItsLastLook) {
  model::Report report;
  model::Recording& first = AddProcess(report, 100).recording;
  first.cgroup_current = 1000 * kMiB;
  first.cgroup.file = 900 * kMiB;
  model::Recording& second = AddProcess(report, 100).recording;
  second.cgroup.time_ns = 6;
  second.cgroup_current = 1000 * kMiB;
  second.cgroup.file = 100 * kMiB;
  EXPECT_THAT(RulesOf(report), IsEmpty());
}

TEST(MemoryFindings, KnowALimitThatLeavesNoRoomForOneMoreWorker) {
  model::Report report;
  model::WorkerGroup& group = report.workers.emplace_back();
  group.name = "gunicorn";
  for (size_t i = 0; i < 3; ++i) {
    model::ProcessSummary& worker = AddProcess(report, 500);
    worker.memory.file_backed = 20.0 * kMiB;
    worker.end.time_ns = 60'000'000'000;
    worker.recording.cgroup_current = 1700 * kMiB;
    worker.recording.cgroup.file = 100 * kMiB;
    group.generations.push_back(i);
  }
  const std::vector<model::Finding> findings = FindMemoryFindings(report);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "no_room_for_a_worker");
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("3 of gunicorn take 1600 of the 2048 MiB"), HasSubstr("480 MiB")));
  for (model::ProcessSummary& worker : report.processes)
    worker.recording.cgroup_current = 1600 * kMiB;  // 548 left
  EXPECT_THAT(RulesOf(report), IsEmpty());
}

TEST(MemoryFindings, OfWorkersThatFollowedEachOtherThereIsNone) {
  model::Report report;
  model::WorkerGroup& group = report.workers.emplace_back();
  for (size_t i = 0; i < 3; ++i) {
    model::ProcessSummary& worker = AddProcess(report, 1500);
    worker.end.time_ns = (i + 1) * 60'000'000'000;
    worker.recording.cgroup_current = 1700 * kMiB;
    group.generations.push_back(i);
  }
  EXPECT_THAT(RulesOf(report), IsEmpty());
}

}  // namespace
}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/output/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/analyzer/output/golden.h"
#include "tests/unit/analyzer/output/report/reports.h"

namespace heapecho::output {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kMiB = 1 << 20;

// The first two of the service's processes were looked at, at one time.
model::Report Looked() {
  model::Report report = GunicornReport();
  for (const size_t i : {size_t{0}, size_t{1}}) {
    model::ProcessSummary& process = report.processes[i];
    model::MemoryAccount& memory = process.memory;
    memory.known = true;
    memory.realtime_ns = report.processes[1].recording.begin_realtime_ns + 700'000'000'000;
    memory.rss = (i == 0 ? 60 : 1000) * kMiB;
    memory.live = {process.live[0].bytes, 0, 0, 0};
    memory.live_error = 3 * kMiB;
    memory.overhead = 2 * kMiB;
    memory.own = 4 * kMiB;
    memory.file_backed = 14 * kMiB;
  }
  report.processes[1].memory.retained.python = 120 * kMiB;
  report.processes[1].memory.swapped = 50 * kMiB;
  return report;
}

TEST(MemoryText, OfAServiceIsTheGolden) {
  EXPECT_TRUE(IsGolden("report/memory.txt", MemoryText(Looked())));
}

TEST(MemoryText, IsEmptyWhereNobodyLooked) { EXPECT_EQ(MemoryText(GunicornReport()), ""); }

TEST(MemoryText, AddsUpOnlyWhatRanSideBySide) {
  model::Report report = Looked();
  EXPECT_THAT(MemoryText(report), HasSubstr("all 2"));
  report.processes[0].end.time_ns =
      report.processes[0].recording.begin_ns + 1;  // ended long before
  EXPECT_THAT(MemoryText(report), Not(HasSubstr("4100")));
}

TEST(MemoryText, CountsPagesOfBeforeTheForkOnce) {
  model::Report report = Looked();
  report.processes[1].memory.inherited = 15 * kMiB;  // of the first one, its parent
  const std::string text = MemoryText(report);
  EXPECT_THAT(text, HasSubstr("in parent and child, once    -15.0"));
  EXPECT_THAT(text, HasSubstr("resident (RSS)              1045.0"));
  EXPECT_THAT(text, HasSubstr("unexplained                  118.0"));
  report.processes[1].recording.parent_id = {};
  EXPECT_THAT(MemoryText(report), Not(HasSubstr("once")));
}

TEST(MemoryText, PutsTheControlGroupBeside) {
  model::Report report = Looked();
  model::Recording& recording = report.processes[1].recording;
  recording.cgroup_current = 1900 << 20;
  recording.cgroup_limit = 2048U << 20;
  recording.cgroup = {.time_ns = 1,
                      .anon = 1000 << 20,
                      .file = 800 << 20,
                      .shmem = 100 << 20,
                      .slab = 20 << 20,
                      .page_tables = 5 << 20,
                      .limit_hits = 12};
  EXPECT_THAT(MemoryText(report),
              HasSubstr("  The control group held 1900.0 of 2048.0 MiB: anonymous 1000.0, page "
                        "cache 700.0, shared and tmpfs 100.0, kernel 25.0 (page tables 5.0, slab "
                        "20.0); it was at its limit 12 times\n"));
  EXPECT_EQ(MemoryJson(report.processes[1])["kernel_bytes"], 25 << 20);
  EXPECT_EQ(CgroupJson(recording.cgroup)["shmem_bytes"], 100 << 20);
  EXPECT_TRUE(CgroupJson({}).empty());
}

TEST(MemoryText, AlwaysHasALineForWhatIsUnexplainedEvenBelowZero) {
  model::Report report = Looked();
  report.processes[1].memory.rss = 900 * kMiB;
  EXPECT_THAT(MemoryText(report), HasSubstr("-2.0"));
}

TEST(MemoryJson, HasTheKeysOfWhatIsKnownAndNoOthers) {
  const model::Report report = Looked();
  EXPECT_EQ(MemoryJson(report.processes[1]).dump(),
            R"({"rss_bytes":1048576000,"live_bytes":851443712,"live_bytes_error":3145728,)"
            R"("swapped_bytes":52428800,"overhead_bytes":2097152,"retained":{"python":125829120},)"
            R"("own_bytes":4194304,"file_backed_bytes":14680064,"unexplained_bytes":102760448})");
  EXPECT_EQ(MemoryJson(report.processes[2]).dump(), "{}");
}

}  // namespace
}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "analyzer/output/report.h"
#include "analyzer/output/site_text.h"
#include "tests/unit/analyzer/output/golden.h"
#include "tests/unit/analyzer/output/report/reports.h"

namespace heapecho::output {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ReportText, OfAServiceIsTheGolden) {
  EXPECT_TRUE(IsGolden("report/gunicorn.txt", ReportText(GunicornReport())));
}

TEST(ReportText, OfAPythonServiceIsTheGolden) {
  EXPECT_TRUE(IsGolden("report/django.txt", ReportText(DjangoReport())));
}

TEST(ReportText, BeginsWithTheApplicationsOwnLinesWhereThereAreAny) {
  const std::string text = ReportText(DjangoReport(), {.top = 1});
  EXPECT_THAT(text, HasSubstr("Which lines of the application asked for it (1 of 2 lines)"));
  EXPECT_THAT(text, HasSubstr("     Orders.get orders/views.py:88\n"
                              "       <- SyncWorker.handle_request workers/sync.py:178\n"));
  EXPECT_THAT(text, HasSubstr("without a line of the application on the stack: 14.3 %\n"));
  EXPECT_LT(text.find("Which lines"), text.find("Who allocated it"));
  EXPECT_THAT(ReportText(GunicornReport()), Not(HasSubstr("Which lines")));
}

TEST(ReportText, HoldsNoControlCharacterOfARecording) {
  const std::string text = ReportText(HostileReport());
  for (const char c : text)
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  EXPECT_THAT(text, Not(HasSubstr("a\nb")));
}

TEST(ReportText, ShowsCountersOfLossAlsoAtZeroAndAddsThemUp) {
  model::Report report = GunicornReport();
  report.processes[0].recording.counters[1].value = 5;
  const std::string text = ReportText(report);
  EXPECT_THAT(text, HasSubstr("no_scratch_buffer       0\n"));
  EXPECT_THAT(text, HasSubstr("stack_unknown      12,350\n"));
  EXPECT_THAT(text, HasSubstr("torn_live               1\n"));
}

TEST(ReportText, ShowsAsManyFunctionsAndFramesAsAsked) {
  const std::string text = ReportText(GunicornReport(), {.top = 1, .frames = 2});
  EXPECT_THAT(text, HasSubstr("Who allocated it (1 of 3 functions, 4 stacks)"));
  EXPECT_THAT(text, Not(HasSubstr("list_resize")));
  EXPECT_THAT(text, HasSubstr("     shop::leak(int) (_shop.so) leak.cc:88\n"
                              "       <- _PyEval_EvalFrameDefault (python3.11), 9 times\n"
                              "       ... 1 more caller\n"));
}

TEST(ReportText, AlwaysShowsWhoHandedTheWorkOver) {
  model::Profile profile;
  for (const char* name : {"main", "load", "start", "work", "allocate"}) {
    model::Frame frame;
    frame.function = name;
    if (profile.frames.size() < 2) frame.kind = model::Frame::Kind::kBehalf;
    profile.frames.push_back(frame);
  }
  profile.samples.resize(1);
  for (uint32_t i = 0; i < 5; ++i) profile.samples[0].frames.push_back({i});
  model::SiteGroup group;
  group.frame = {4};
  group.sites = {{0}};
  EXPECT_EQ(StackText(profile, group, 1),
            "     allocate\n       ... 2 more callers\n       <- on behalf of load\n"
            "       ... 1 more caller\n");
  EXPECT_EQ(StackText(profile, group, 3),
            "     allocate\n       <- work\n       <- start\n       <- on behalf of load\n"
            "       ... 1 more caller\n");
  EXPECT_EQ(StackText(profile, group, 9),
            "     allocate\n       <- work\n       <- start\n       <- on behalf of load\n"
            "       <- main\n");
  group.frame = {0};
  EXPECT_EQ(StackText(profile, group, 9), "     main\n");
}

TEST(ReportText, ShowsAFunctionThatCallsItselfOnceWhateverTheLines) {
  model::Report report = GunicornReport();
  report.profile.frames.push_back(report.profile.frames[2]);
  report.profile.frames.back().line = 99;
  const auto outer = static_cast<uint32_t>(report.profile.frames.size() - 1);
  report.profile.samples[0].frames[9] = {outer};
  EXPECT_THAT(ReportText(report), HasSubstr("shop::leak(int) (_shop.so) leak.cc:88, 2 times\n"));
}

TEST(ReportText, SaysWhatEachThatItIsToldApartByHas) {
  model::Report report = GunicornReport();
  EXPECT_THAT(ReportText(report), Not(HasSubstr("\nBy ")));
  report.by = "thread";
  report.shares = {
      {"gunicorn 4101 / loop (a.py), 40 threads", {.bytes = 408.5 * (1 << 20), .objects = 4}},
      {"gunicorn 4101 / main thread", {.bytes = 100, .objects = 1}}};
  EXPECT_THAT(
      ReportText(report, {.top = 1}),
      HasSubstr(
          "By thread (1 of 2)\n"
          "  50.0 %  408 MiB ± 0 B  4 ± 0 objects  gunicorn 4101 / loop (a.py), 40 threads\n\n"));
}

TEST(ReportText, SplitsTheTotalByDomain) {
  model::Report report = GunicornReport();
  report.profile.domains[1] = {.bytes = 81.7 * (1 << 20), .objects = 100000};
  EXPECT_THAT(ReportText(report), HasSubstr("\n  python   10.0 %  81.7 MiB"));
}

TEST(ReportText, SaysWhatRecordingCost) {
  model::Report report = GunicornReport();
  report.processes[0].recording.own_ns = 250'000'000;
  report.processes[1].recording.cpu_ns = 100'000'000'000;
  EXPECT_THAT(
      ReportText(report),
      HasSubstr("What recording cost: 0.25 s of 100.0 s CPU time (0.2 %), 384 KiB on disk"));
}

TEST(ReportText, SaysThatThereIsNoRecording) {
  model::Report report;
  report.profile.warnings = {"/x is no recording"};
  EXPECT_EQ(ReportText(report), "heapecho: no recording\n\nWarnings\n  /x is no recording\n");
}

TEST(ReportText, NamesTheValueThatItShows) {
  model::Report report = GunicornReport();
  EXPECT_THAT(ReportText(report), HasSubstr("Live at the last moment: 817 MiB"));
  report.profile.value = model::Value::kPeak;
  EXPECT_THAT(ReportText(report), HasSubstr("At each process's peak: 817 MiB"));
  report.profile.value = model::Value::kAllocated;
  EXPECT_THAT(ReportText(report), HasSubstr("Allocated in total: 817 MiB"));
  EXPECT_THAT(ReportText(report), Not(HasSubstr("oldest")));
}

TEST(ReportText, ListsTheInstancesWhereThereAreSeveral) {
  model::Report report = GunicornReport();
  for (model::ProcessSummary& process : report.processes) process.recording.identity.container = "";
  EXPECT_THAT(ReportText(report), Not(HasSubstr("instance")));
  report.processes[2].recording.identity.host = "web-2";
  EXPECT_THAT(ReportText(report), HasSubstr("\n  processes by instance: web-1 (2), web-2 (1)\n"));
}

TEST(ReportText, SaysThatAProcessWasOomKilledAsFarAsThatIsKnown) {
  model::Report report = GunicornReport();
  report.processes[1].end.signal = 9;
  EXPECT_THAT(ReportText(report), HasSubstr(" killed SIGKILL "));
  report.processes[1].end.oom_kill = model::OomKill::kLikely;
  EXPECT_THAT(ReportText(report), HasSubstr(" probably OOM-killed "));
  report.processes[1].end.oom_kill = model::OomKill::kYes;
  EXPECT_THAT(ReportText(report), HasSubstr("1 OOM-killed"));
}

TEST(ReportText, SaysWhatIsMissingOfFilesThatWereWritten) {
  model::Report report = GunicornReport();
  EXPECT_THAT(ReportText(report), Not(HasSubstr("files written")));
  model::Recording& first = report.processes[0].recording;
  first.keeping = model::Keeping::kAsked;
  first.write_pause_ns = 1'000'000'000;
  first.write_longest_ns = 520'000;
  EXPECT_THAT(ReportText(report),
              HasSubstr("  1 of the files written, not mapped (HEAPECHO_MAP=0): of a killed process up to 1 s before "
                        "its end are missing; no thread was held up for more than 0.52 ms\n"));
  for (model::ProcessSummary& process : report.processes) {
    process.recording.keeping = model::Keeping::kWritten;
    process.recording.write_pause_ns = 4'000'000'000;
  }
  EXPECT_THAT(ReportText(report), HasSubstr("  files written, not mapped (not safe on their file system): of a killed "
                                            "process up to 4 s before"));
}

TEST(ReportText, SaysHowEachProcessEnded) {
  model::Report report = GunicornReport();
  EXPECT_THAT(ReportText(report), HasSubstr(" exited 3 "));
  report.processes[2].end.exit_status = -1;
  EXPECT_THAT(ReportText(report), HasSubstr(" exited "));
  EXPECT_THAT(ReportText(report), Not(HasSubstr("exited -1")));
  report.processes[2].end.state = model::ProcessState::kExec;
  EXPECT_THAT(ReportText(report), HasSubstr(" exec "));
  report.processes[2].end.state = model::ProcessState::kUnknown;
  EXPECT_THAT(ReportText(report), HasSubstr(" unknown "));
}

}  // namespace
}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/program_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace heapecho::aggregator {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Command = std::vector<std::string>;

// Processes of these commands; `frames` is one stack, root first, that holds 3 MiB.
model::Report ReportOf(const std::vector<Command>& commands,
                       std::vector<model::Frame> frames = {}) {
  model::Report report;
  for (const Command& command : commands) {
    model::ProcessSummary& process = report.processes.emplace_back();
    process.name = "manage.py";
    process.recording.pid = 100 + static_cast<uint32_t>(report.processes.size());
    process.recording.threads_seen = 10 * static_cast<uint32_t>(report.processes.size());
    process.recording.threads_at_most = 4;
    process.recording.identity.command = command;
  }
  model::Sample& sample = report.profile.samples.emplace_back();
  for (uint32_t i = 0; i < frames.size(); ++i) sample.frames.push_back({i});
  sample.estimate.bytes = 3 << 20;
  report.profile.frames = std::move(frames);
  return report;
}

std::vector<std::string> RulesOf(const model::Report& report) {
  std::vector<std::string> rules;
  for (const model::Finding& finding : FindProgramFindings(report)) rules.push_back(finding.rule);
  return rules;
}

model::Frame Python(const std::string& function, const std::string& file) {
  model::Frame frame;
  frame.kind = model::Frame::Kind::kPython;
  frame.function = function;
  frame.file = file;
  return frame;
}

TEST(ProgramFindings, KnowDevelopmentServersByTheirCommands) {
  for (const Command& command :
       {Command{"python", "manage.py", "runserver", "0.0.0.0:8000"},
        Command{"/venv/bin/django-admin", "runserver_plus"},
        Command{"/usr/bin/python3", "/venv/bin/flask", "--app", "a", "run"},
        Command{"python", "-m", "flask", "run"}, Command{"uvicorn", "app:app", "--reload"},
        Command{"python3", "/venv/bin/gunicorn", "--reload", "app"}}) {
    EXPECT_THAT(RulesOf(ReportOf({command})), ElementsAre("development_server")) << command[1];
  }
}

TEST(ProgramFindings, LeaveServersForProductionAndOtherCommandsAlone) {
  for (const Command& command :
       {Command{"python", "manage.py", "migrate"},
        Command{"/venv/bin/gunicorn", "--workers", "2", "shop.wsgi"}, Command{"uvicorn", "app:app"},
        Command{"inotify", "--reload", "x"}, Command{"docker", "run", "flask"}}) {
    EXPECT_THAT(RulesOf(ReportOf({command})), IsEmpty()) << command[0];
  }
}

TEST(ProgramFindings, KnowDevelopmentServersByTheirFramesWhereTheCommandIsAnother) {
  const model::Report report = ReportOf(
      {{"python", "serve.py"}},
      {Python("ThreadingMixIn.process_request_thread", "/usr/lib/python3.11/socketserver.py"),
       Python("WSGIRequestHandler.handle", "/v/site-packages/django/core/servers/basehttp.py")});
  const std::vector<model::Finding> findings = FindProgramFindings(report);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_THAT(findings[0].text, HasSubstr("Django's runserver;"));
  EXPECT_THAT(RulesOf(ReportOf({{"python", "serve.py"}},
                               {Python("serve", "/app/core/servers/basehttp.py")})),
              IsEmpty());
}

TEST(ProgramFindings, NameTheServerWithTheMostThreadsAndAllOfThem) {
  const Command command = {"python", "manage.py", "runserver"};
  const std::vector<model::Finding> findings = FindProgramFindings(ReportOf({command, command}));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].severity, model::Severity::kWarning);
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("manage.py 102, 20 threads"), HasSubstr("gunicorn")));
  EXPECT_EQ(std::get<std::vector<std::string>>(findings[0].evidence.back().second).size(), 2U);
}

TEST(ProgramFindings, KnowThatDjangoKeepsItsQueries) {
  const std::string file = "/v/site-packages/django/db/backends/utils.py";
  const model::Report report = ReportOf(
      {{"gunicorn"}}, {Python("view", "/app/views.py"), Python("CursorDebugWrapper.execute", file),
                       Python("CursorDebugWrapper.debug_sql", file)});
  const std::vector<model::Finding> findings = FindProgramFindings(report);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "django_debug");
  EXPECT_THAT(findings[0].text, AllOf(HasSubstr("DEBUG=True"), HasSubstr("3.0 ± 0.0 MiB")));
  EXPECT_THAT(RulesOf(ReportOf({{"gunicorn"}}, {Python("CursorWrapper.execute", file)})),
              IsEmpty());
}

TEST(ProgramFindings, CountAsKeptOnlyWhatIsPutAside) {
  const std::string file = "/v/site-packages/django/db/backends/utils.py";
  const std::vector<model::Finding> findings = FindProgramFindings(ReportOf(
      {{"gunicorn"}}, {Python("CursorDebugWrapper.execute", file), Python("query", "/app/q.py")}));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_THAT(findings[0].text, HasSubstr("0.0 ± 0.0 MiB"));
}

TEST(ProgramFindings, NameLibrariesWhoseAllocatorIsHidden) {
  model::Frame frame;
  frame.module = "_polars_runtime.abi3.so";
  const model::Report report = ReportOf({{"gunicorn"}}, {frame});
  const std::vector<model::Finding> findings = FindProgramFindings(report);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "allocator_inside");
  EXPECT_EQ(findings[0].severity, model::Severity::kNotice);
  EXPECT_THAT(findings[0].text, AllOf(HasSubstr("polars"), HasSubstr("_polars_runtime.abi3.so"),
                                      Not(HasSubstr("duckdb"))));
}

}  // namespace
}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/thread_findings.h"

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

// Of processes with so many threads that were seen, and at once.
std::vector<model::Finding> FindingsOf(const std::vector<std::pair<uint32_t, uint32_t>>& threads) {
  std::vector<model::ProcessSummary> processes;
  for (const auto& [seen, at_most] : threads) {
    model::ProcessSummary& process = processes.emplace_back();
    process.name = "manage.py";
    process.recording.pid = 100 + static_cast<uint32_t>(processes.size());
    process.recording.id.bytes[0] = static_cast<uint8_t>(processes.size());
    process.recording.threads_seen = seen;
    process.recording.threads_at_most = at_most;
  }
  return FindThreadFindings(processes);
}

std::vector<std::string> RulesOf(const std::vector<std::pair<uint32_t, uint32_t>>& threads) {
  std::vector<std::string> rules;
  for (const model::Finding& finding : FindingsOf(threads)) rules.push_back(finding.rule);
  return rules;
}

TEST(ThreadFindings, KnowAServerThatMakesAThreadForEachRequest) {
  EXPECT_THAT(RulesOf({{1203, 8}}), ElementsAre("thread_per_request"));
  EXPECT_THAT(RulesOf({{100, 10}}), ElementsAre("thread_per_request"));
  EXPECT_THAT(RulesOf({{99, 1}}), IsEmpty());
  EXPECT_THAT(RulesOf({{100, 11}}), IsEmpty());
}

TEST(ThreadFindings, KnowThreadsThatDoNotEnd) {
  EXPECT_THAT(RulesOf({{540, 512}}), ElementsAre("threads_stay"));
  EXPECT_THAT(RulesOf({{199, 199}}), IsEmpty());
  EXPECT_THAT(RulesOf({{600, 512}}), IsEmpty());
}

TEST(ThreadFindings, SayNothingWhereThreadsWereNotCountedAtOnce) {
  EXPECT_THAT(RulesOf({{100000, 0}}), IsEmpty());
}

TEST(ThreadFindings, NameTheProcessWithTheMostAndCountTheOthers) {
  const std::vector<model::Finding> findings = FindingsOf({{300, 4}, {1203, 8}, {2, 1}});
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].severity, model::Severity::kWarning);
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("manage.py 102 had 1203 threads that allocated, at most 8"),
                    HasSubstr("(and 1 more process alike)")));
  EXPECT_EQ(std::get<uint64_t>(findings[0].evidence[1].second), 1203U);
  EXPECT_EQ(std::get<std::vector<std::string>>(findings[0].evidence[3].second).size(), 2U);
  EXPECT_THAT(FindingsOf({{300, 4}})[0].text, Not(HasSubstr("alike")));
}

}  // namespace
}  // namespace heapecho::aggregator

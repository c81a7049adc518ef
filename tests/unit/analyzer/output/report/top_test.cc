// SPDX-License-Identifier: Apache-2.0
// Running processes, a line each.
#include "analyzer/output/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"

namespace heapecho::output {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TopProcess Process(uint32_t pid, double live, uint64_t rss, double growth) {
  TopProcess process;
  process.state = model::ProcessState::kRunning;
  process.recording.pid = pid;
  process.recording.identity.executable = "/usr/bin/python3";
  process.recording.identity.command = {"python3", "-u", "/srv/app.py", "x"};
  process.recording.live.bytes = live;
  process.rss = rss;
  process.rates_known = true;
  process.live_per_second = growth;
  return process;
}

// The pids in the order of the lines.
std::vector<std::string> Order(TopSort sort) {
  const std::string text =
      TopText({Process(30, 100, 900, 5), Process(10, 300, 100, -7), Process(20, 300, 500, 9)}, sort,
              absl::FromUnixSeconds(0));
  std::vector<std::string> pids;
  for (size_t at = text.find("\n   "); at != std::string::npos; at = text.find("\n   ", at + 1))
    pids.push_back(text.substr(at + 4, text.find(' ', at + 4) - at - 4));
  return pids;
}

TEST(TopText, IsSortedByWhatIsAskedLargestFirstAndEqualOnesByPid) {
  using V = std::vector<std::string>;
  EXPECT_EQ(Order(TopSort::kLive), (V{"10", "20", "30"}));
  EXPECT_EQ(Order(TopSort::kRss), (V{"30", "20", "10"}));
  EXPECT_EQ(Order(TopSort::kGrowth), (V{"20", "30", "10"}));
  EXPECT_EQ(Order(TopSort::kPid), (V{"10", "20", "30"}));
}

TEST(TopText, NamesTheProgramAndItsFirstArgumentThatIsNoOption) {
  EXPECT_THAT(TopText({Process(1, 1, 1, 1)}, TopSort::kLive, absl::Now()),
              HasSubstr("python3 app.py"));
}

TEST(TopText, CutsAnArgumentThatIsAWholeProgram) {
  TopProcess process = Process(1, 1, 1, 1);
  process.recording.identity.command = {"python3", "-c", std::string(500, 'x')};
  const std::string text = TopText({process}, TopSort::kLive, absl::Now());
  EXPECT_THAT(text, HasSubstr("python3 " + std::string(32, 'x') + " "));
  EXPECT_THAT(text, Not(HasSubstr(std::string(33, 'x'))));
}

TEST(TopText, ShowsRatesOnlyWhereThereWasALookBefore) {
  TopProcess process = Process(1, 1, 1, 2048);
  EXPECT_THAT(TopText({process}, TopSort::kLive, absl::Now()), HasSubstr("+2.00 KiB/s"));
  process.live_per_second = -2048;
  EXPECT_THAT(TopText({process}, TopSort::kLive, absl::Now()), HasSubstr("-2.00 KiB/s"));
  process.rates_known = false;
  EXPECT_THAT(TopText({process}, TopSort::kLive, absl::Now()), Not(HasSubstr("/s")));
}

TEST(TopText, HoldsNoControlCharacterOfARecording) {
  TopProcess process = Process(1, 1, 1, 1);
  process.recording.identity.command[2] = "a\x1b[2J\n";
  process.recording.identity.host = "h\n";
  for (const char c : TopText({process}, TopSort::kLive, absl::Now()))
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
}

}  // namespace
}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// Running processes, a line each; the contract is in the header.
#include "analyzer/output/top.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/output/report_times.h"
#include "analyzer/output/site_text.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

double KeyOf(const TopProcess& process, TopSort sort) {
  switch (sort) {
    case TopSort::kRss:
      return static_cast<double>(process.rss);
    case TopSort::kGrowth:
      return process.live_per_second;
    case TopSort::kAllocated:
      return process.allocated_per_second;
    case TopSort::kPid:
      return -static_cast<double>(process.recording.pid);
    case TopSort::kLive:
      break;
  }
  return process.recording.live.bytes;
}

std::string Rate(const TopProcess& process, double per_second, bool sign) {
  if (!process.rates_known) return "";
  return absl::StrCat(per_second < 0 ? "-"
                      : sign         ? "+"
                                     : "",
                      HumanBytes(std::abs(per_second)), "/s");
}

std::string Known(uint64_t bytes) {
  return bytes == 0 ? "" : HumanBytes(static_cast<double>(bytes));
}

constexpr size_t kLongestArgument = 32;

// What the program is called, as `ps` would show it: the last part of its executable's path, and
// the first argument that is no option, as far as there is room for it.
std::string NameOf(const model::Identity& identity) {
  std::string name = BaseName(identity.executable);
  for (size_t i = 1; i < identity.command.size(); ++i) {
    if (identity.command[i].empty() || identity.command[i][0] == '-') continue;
    return absl::StrCat(name, " ", BaseName(identity.command[i]).substr(0, kLongestArgument));
  }
  return name;
}

}  // namespace

absl::StatusOr<TopSort> ParseTopSort(absl::string_view text) {
  if (text == "live") return TopSort::kLive;
  if (text == "rss") return TopSort::kRss;
  if (text == "growth") return TopSort::kGrowth;
  if (text == "allocated") return TopSort::kAllocated;
  if (text == "pid") return TopSort::kPid;
  return absl::InvalidArgumentError(
      absl::StrCat("--sort ", text, ": must be one of live, rss, growth, allocated, pid"));
}

std::string TopText(std::vector<TopProcess> processes, TopSort sort, absl::Time now) {
  std::stable_sort(processes.begin(), processes.end(),
                   [](const auto& a, const auto& b) { return a.recording.pid < b.recording.pid; });
  std::stable_sort(processes.begin(), processes.end(),
                   [&](const auto& a, const auto& b) { return KeyOf(a, sort) > KeyOf(b, sort); });
  double live = 0;
  uint64_t rss = 0;
  std::vector<std::vector<std::string>> rows = {{"PID", "PROCESS", "HOST", "RAN", "LIVE", "GROWTH",
                                                 "ALLOCATES", "PEAK", "RSS", "LIMIT", "SEEN"}};
  for (const TopProcess& process : processes) {
    const model::Recording& recording = process.recording;
    live += recording.live.bytes;
    rss += process.rss;
    const absl::Duration quiet = now - LastSeenAt(recording);
    rows.push_back({absl::StrCat(recording.pid), Printable(NameOf(recording.identity)),
                    Printable(recording.identity.host), Duration(now - StartedAt(recording)),
                    HumanEstimate(recording.live, model::Unit::kBytes),
                    Rate(process, process.live_per_second, true),
                    Rate(process, process.allocated_per_second, false),
                    HumanBytes(recording.peak.bytes), Known(process.rss),
                    Known(recording.identity.cgroup_limit),
                    process.state != model::ProcessState::kRunning
                        ? absl::StrCat("elsewhere, ", Duration(quiet), " ago")
                    : quiet < absl::Seconds(2) ? "now"
                                               : absl::StrCat(Duration(quiet), " ago")});
  }
  return absl::StrCat("heapecho: ", processes.size(),
                      processes.size() == 1 ? " process" : " processes", ", live ",
                      HumanBytes(live), ", resident ", HumanBytes(static_cast<double>(rss)), "; ",
                      DateAndTime(now), " UTC\n\n", TextTable(rows, {0, 4, 5, 6, 7, 8, 9}));
}

}  // namespace heapecho::output

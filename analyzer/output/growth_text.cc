// SPDX-License-Identifier: Apache-2.0
// What memory did over time, in words; the contract is in the header.
#include "analyzer/output/growth_text.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "analyzer/model/difference.h"
#include "analyzer/output/site_text.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

using model::Unit;

constexpr size_t kRisingShown = 3;

struct Step {
  double amount, error;
  bool IsSure() const { return amount > model::kFewestSigmas * error; }
};
Step StepOf(const model::Estimate& went, const model::Estimate& came) {
  return {came.bytes - went.bytes, std::sqrt(came.bytes_variance + went.bytes_variance)};
}

std::string RateText(double per_second) {
  const double size = std::abs(per_second);
  const char* sign = per_second < 0 ? "-" : "";
  if (size * 60 < 1 << 20) return absl::StrCat(sign, HumanBytes(size * 3600), "/h");
  return size < 1 << 20 ? absl::StrCat(sign, HumanBytes(size * 60), "/min")
                        : absl::StrCat(sign, HumanBytes(size), "/s");
}

absl::Time TimeOf(uint64_t realtime_ns) {
  return absl::FromUnixNanos(static_cast<int64_t>(realtime_ns));
}

std::string RssText(const model::GrowthWindow& window) {
  if (window.rss_after == 0) return "";
  std::string text = " (RSS ";
  if (window.rss_before != 0) {
    absl::StrAppend(&text, HumanBytes(static_cast<double>(window.rss_before)), " -> ");
  }
  absl::StrAppend(&text, HumanBytes(static_cast<double>(window.rss_after)));
  if (window.limit != 0) {
    absl::StrAppend(&text, ", limit ", HumanBytes(static_cast<double>(window.limit)));
  }
  return absl::StrCat(text, ")");
}

// "+48.0 MiB ± 1.20 MiB  2.00 MiB/min  came 60.0 MiB, mean age 4 min 1 s  went 12.0 MiB".
std::string Group(const model::Profile& profile, const model::SiteGroup& group, size_t rank,
                  size_t frames) {
  const Step step = StepOf(group.before, group.estimate);
  std::string text = absl::StrFormat(
      "%3d. %s  %s  came %s", rank, HumanChange(step.amount, step.error, Unit::kBytes),
      RateText(group.growth.per_second), HumanBytes(group.estimate.bytes));
  if (group.estimate.bytes > 0) {
    const absl::Duration mean = absl::Seconds(group.growth.byte_seconds / group.estimate.bytes);
    absl::StrAppend(&text, ", mean age ", Duration(mean));
  }
  absl::StrAppend(&text, "  went ", HumanBytes(group.before.bytes), "\n",
                  StackText(profile, group, frames));
  return text;
}

std::string Groups(const model::Profile& profile, const std::vector<model::SiteGroup>& groups,
                   const char* title, const ReportOptions& options) {
  const size_t sure = static_cast<size_t>(std::count_if(
      groups.begin(), groups.end(),
      [](const model::SiteGroup& group) { return StepOf(group.before, group.estimate).IsSure(); }));
  const size_t count = std::min(options.top, sure);
  std::string text =
      absl::StrCat(title, " (", sure, " of ", groups.size(), " beyond ",
                   absl::StrFormat("%.0f", model::kFewestSigmas), " standard errors)\n");
  for (size_t i = 0; i < count; ++i)
    absl::StrAppend(&text, Group(profile, groups[i], i + 1, options.frames));
  model::Estimate came, went;
  for (size_t i = count; i < groups.size(); ++i) {
    came += groups[i].estimate;
    went += groups[i].before;
  }
  const Step rest = StepOf(went, came);
  if (count < groups.size()) {
    absl::StrAppend(&text, "  not named: ", groups.size() - count, ", together ",
                    HumanChange(rest.amount, rest.error, Unit::kBytes), "\n");
  }
  return absl::StrCat(text, "\n");
}

}  // namespace

std::string LastMinutes(const model::Report& report) {
  if (report.profile.value != model::Value::kLive || !report.at.empty()) return "";
  std::vector<const model::ProcessSummary*> risen;
  for (const model::ProcessSummary& process : report.processes)
    if (process.growth.from_ns != 0) risen.push_back(&process);
  if (risen.empty()) return "";
  std::stable_sort(risen.begin(), risen.end(), [](const auto* a, const auto* b) {
    return StepOf(a->growth.went, a->growth.came).amount >
           StepOf(b->growth.went, b->growth.came).amount;
  });
  std::string text = "The last minutes\n";
  for (size_t i = 0; i < std::min(risen.size(), kRisingShown); ++i) {
    const model::GrowthWindow& window = risen[i]->growth;
    const Step step = StepOf(window.went, window.came);
    absl::StrAppend(
        &text, "  ", Printable(risen[i]->name), " ", risen[i]->recording.pid, ": live rose by ",
        HumanChange(step.amount, step.error, Unit::kBytes).substr(1), " in ",
        window.seconds < 10 ? absl::StrFormat("%.1f s", window.seconds)
                            : Duration(absl::Seconds(window.seconds)),
        ", since ", DateAndTime(TimeOf(window.from_realtime_ns)), " UTC", RssText(window), "\n");
  }
  if (risen.size() > kRisingShown)
    absl::StrAppend(&text, "  and ", Plural(risen.size() - kRisingShown, "other process"), "\n");
  size_t shown = 0;
  for (const model::SiteGroup& group : report.rising) {
    const Step step = StepOf(group.before, group.estimate);
    if (step.amount <= step.error || shown == kRisingShown) break;
    ++shown;
    absl::StrAppend(&text, "    ", HumanChange(step.amount, step.error, Unit::kBytes), "  ",
                    FrameText(report.profile.frames[group.frame.value]), "\n");
  }
  return absl::StrCat(text, "\n");
}

std::string GrowthText(const model::Report& report, const ReportOptions& options) {
  const model::Profile& profile = report.profile;
  const Step step = StepOf(profile.total_before, profile.total);
  std::string text = absl::StrCat(
      profile.value == model::Value::kLast ? "Grown since the last rise began: " : "Grown: ",
      HumanChange(step.amount, step.error, Unit::kBytes), " (came and stayed ",
      HumanBytes(profile.total.bytes), ", went ", HumanBytes(profile.total_before.bytes), ")\n");
  std::vector<std::vector<std::string>> rows;
  for (const model::ProcessSummary& process : report.processes) {
    const model::GrowthWindow& window = process.growth;
    const std::string name = absl::StrCat(Printable(process.name), " ", process.recording.pid);
    if (window.from_ns == 0) {
      rows.push_back(
          {name, profile.value == model::Value::kLast ? "no rise" : "not there", "", ""});
      continue;
    }
    const Step one = StepOf(window.went, window.came);
    rows.push_back({name, absl::StrCat("since ", DateAndTime(TimeOf(window.from_realtime_ns))),
                    absl::StrCat("for ", Duration(absl::Seconds(window.seconds))),
                    HumanChange(one.amount, one.error, Unit::kBytes),
                    window.seconds > 0 ? RateText(one.amount / window.seconds) : ""});
  }
  absl::StrAppend(&text, TextTable(rows, {3}), "\n");
  if (!report.own.empty()) {
    absl::StrAppend(&text,
                    Groups(profile, report.own, "Which lines of the application grew", options));
  }
  return absl::StrCat(text, Groups(profile, report.groups, "Which functions grew", options));
}

std::string MomentText(const model::Report& report) {
  if (report.at.empty() || report.profile.value != model::Value::kLive) return "";
  std::string text = absl::StrCat("Shown at ", Printable(report.at), "\n");
  std::vector<std::vector<std::string>> rows;
  for (const model::ProcessSummary& process : report.processes) {
    const model::MomentShown& moment = process.moment;
    const std::string name = absl::StrCat(Printable(process.name), " ", process.recording.pid);
    if (!moment.known) {
      rows.push_back({name, "was not there, or nothing is known of that time"});
      continue;
    }
    const double off = std::abs(moment.off_seconds);
    const std::string distance =
        off < 0.05
            ? ""
            : absl::StrCat(", ",
                           off < 10 ? absl::StrFormat("%.1f s", off) : Duration(absl::Seconds(off)),
                           moment.off_seconds < 0 ? " before it" : " after it");
    rows.push_back({name, absl::StrCat(DateAndTime(TimeOf(moment.realtime_ns)), " UTC", distance,
                                       moment.by_point ? absl::StrCat(", a point of the history; ",
                                                                      HumanBytes(moment.unlisted),
                                                                      " without a stack")
                                                       : ", block by block")});
  }
  return absl::StrCat(text, TextTable(rows, {}), "\n");
}

}  // namespace heapecho::output

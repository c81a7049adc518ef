// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/findings.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analyzer/aggregator/growth_findings.h"
#include "analyzer/aggregator/memory_findings.h"
#include "analyzer/aggregator/moments.h"
#include "analyzer/aggregator/program_findings.h"
#include "analyzer/aggregator/thread_findings.h"
#include "analyzer/aggregator/workers.h"
#include "analyzer/model/signals.h"

namespace heapecho::aggregator {
namespace {

using model::Finding;
using model::ProcessSummary;
using model::Severity;

std::string Mebibytes(uint64_t bytes) {
  return absl::StrFormat("%.0f MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string Seconds(double seconds) {
  return absl::StrFormat("%.*f s", seconds < 10 ? 1 : 0, seconds);
}

double LifetimeOf(const ProcessSummary& process) {
  return static_cast<double>(EndedNs(process) - StartedNs(process.recording)) / 1e9;
}

// "gunicorn under 345 on web-1"
std::string NameOf(const model::WorkerGroup& group) {
  std::string name = group.name;
  if (group.parent_pid != 0) absl::StrAppend(&name, " under ", group.parent_pid);
  if (!group.host.empty()) absl::StrAppend(&name, " on ", group.host);
  return name;
}

std::string HowTheyEnded(const model::End& end) {
  if (end.oom_kill != model::OomKill::kNo) return "were OOM-killed";
  if (end.signal != 0) return absl::StrCat("were killed by ", model::SignalName(end.signal));
  return absl::StrCat("exited with status ", end.exit_status);
}

std::vector<std::string> IdsOf(const std::vector<ProcessSummary>& processes,
                               const std::vector<size_t>& which) {
  std::vector<std::string> ids;
  for (const size_t i : which) ids.push_back(processes[i].recording.id.ToHex());
  return ids;
}

// What most of them held most of: the site that stands first in the largest number.
std::string CommonSite(const std::vector<ProcessSummary>& processes,
                       const std::vector<size_t>& which) {
  std::map<std::string, size_t> counts;
  for (const size_t i : which) {
    const std::optional<model::TopSite>& top = processes[i].top_site;
    if (!top) continue;
    std::string text = top->frame.function;
    if (!top->frame.file.empty())
      absl::StrAppend(&text, " (", top->frame.file.substr(top->frame.file.rfind('/') + 1), ":",
                      top->frame.line, ")");
    ++counts[text];
  }
  std::string common;
  size_t most = 0;
  for (const auto& [text, count] : counts) {
    if (count > most) common = text;
    most = std::max(most, count);
  }
  return most * 2 > which.size() ? common : "";
}

std::optional<Finding> RestartLoopOf(const model::Report& report, const model::WorkerGroup& group) {
  const std::vector<size_t> loop = RestartLoop(report.processes, group);
  if (loop.empty()) return std::nullopt;
  uint64_t least = UINT64_MAX, most = 0, limit = 0;
  double shortest = 1e18, longest = 0;
  for (const size_t i : loop) {
    const ProcessSummary& process = report.processes[i];
    least = std::min(least, process.end.peak_rss);
    most = std::max(most, process.end.peak_rss);
    limit = std::max(limit, process.end.memory_limit);
    shortest = std::min(shortest, LifetimeOf(process));
    longest = std::max(longest, LifetimeOf(process));
  }
  Finding finding;
  finding.rule = "restart_loop";
  finding.severity = Severity::kCritical;
  finding.text = absl::StrCat("restart loop: ", loop.size(), " workers in a row of ", NameOf(group),
                              " ", HowTheyEnded(report.processes[loop.front()].end));
  if (most != 0)
    absl::StrAppend(&finding.text, " with ",
                    least != most ? absl::StrCat(Mebibytes(least), " to ") : "", Mebibytes(most),
                    " resident");
  if (limit != 0)
    absl::StrAppend(&finding.text, ", their control group's limit being ", Mebibytes(limit));
  absl::StrAppend(&finding.text, "; they lived ", Seconds(shortest), " to ", Seconds(longest));
  const std::string site = CommonSite(report.processes, loop);
  if (!site.empty()) absl::StrAppend(&finding.text, "; most was held by ", site);
  absl::StrAppend(&finding.text, "; `heapecho workers` has each of them");
  finding.evidence = {{"parent_id", group.parent_id.ToHex()},
                      {"workers", static_cast<uint64_t>(loop.size())},
                      {"peak_rss_bytes_least", least},
                      {"peak_rss_bytes_most", most},
                      {"limit_bytes", limit},
                      {"lifetime_s_shortest", shortest},
                      {"lifetime_s_longest", longest},
                      {"ids", IdsOf(report.processes, loop)}};
  if (!site.empty()) finding.evidence.emplace_back("site", site);
  return finding;
}

std::optional<Finding> TimeoutsOf(const model::Report& report, const model::WorkerGroup& group) {
  std::vector<size_t> timed_out;
  for (const size_t i : group.generations) {
    if (report.processes[i].end.timed_out) timed_out.push_back(i);
  }
  if (timed_out.empty()) return std::nullopt;
  Finding finding;
  finding.rule = "worker_timeouts";
  finding.severity = Severity::kWarning;
  finding.text =
      absl::StrCat("worker time-outs: the parent of ", NameOf(group), " ended ", timed_out.size(),
                   " of ", group.generations.size(),
                   " workers that it had not asked to stop; memory did not end them, unless "
                   "swapping or a collection of garbage made them slow");
  finding.evidence = {{"parent_id", group.parent_id.ToHex()},
                      {"workers", static_cast<uint64_t>(timed_out.size())},
                      {"ids", IdsOf(report.processes, timed_out)}};
  return finding;
}

// One host, or one container there.
struct Instance {
  std::string name;
  int64_t first_ns = INT64_MAX, last_ns = INT64_MIN;
};

std::vector<Finding> SeveralInstances(const model::Report& report) {
  std::map<std::string, std::map<std::pair<std::string, std::string>, Instance>> by_command;
  for (const ProcessSummary& process : report.processes) {
    const model::Identity& identity = process.recording.identity;
    if (identity.command.empty() || identity.host.empty()) continue;
    Instance& instance =
        by_command[absl::StrJoin(identity.command, " ")][{identity.host, identity.container}];
    instance.name = identity.container.empty()
                        ? identity.host
                        : absl::StrCat(identity.host, "/", identity.container.substr(0, 12));
    instance.first_ns = std::min(instance.first_ns, StartedNs(process.recording));
    instance.last_ns = std::max(instance.last_ns, EndedNs(process));
  }
  std::vector<Finding> findings;
  for (const auto& [command, instances] : by_command) {
    std::set<std::string> together;
    for (const auto& [place, one] : instances) {
      for (const auto& [other_place, other] : instances) {
        if (place != other_place && one.first_ns <= other.last_ns && other.first_ns <= one.last_ns)
          together.insert(one.name);
      }
    }
    if (together.size() < 2) continue;
    Finding finding;
    finding.rule = "several_instances";
    finding.severity = Severity::kWarning;
    finding.text =
        absl::StrCat("one command ran at the same time in ", together.size(),
                     " places that write to this directory (", absl::StrJoin(together, ", "),
                     "): ", command.substr(0, 200),
                     "; was the second one meant to be there? `--where host=` tells them apart");
    finding.evidence = {{"command", command},
                        {"instances", std::vector<std::string>(together.begin(), together.end())}};
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace

std::vector<Finding> FindFindings(const model::Report& report) {
  std::vector<Finding> findings;
  for (const model::WorkerGroup& group : report.workers) {
    if (auto found = RestartLoopOf(report, group)) findings.push_back(*std::move(found));
    if (auto found = TimeoutsOf(report, group)) findings.push_back(*std::move(found));
  }
  for (Finding& finding : SeveralInstances(report)) findings.push_back(std::move(finding));
  for (Finding& finding : FindThreadFindings(report.processes))
    findings.push_back(std::move(finding));
  for (Finding& finding : FindProgramFindings(report)) findings.push_back(std::move(finding));
  for (Finding& finding : FindMemoryFindings(report)) findings.push_back(std::move(finding));
  for (Finding& finding : FindGrowthFindings(report)) findings.push_back(std::move(finding));
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
  return findings;
}

}  // namespace heapecho::aggregator

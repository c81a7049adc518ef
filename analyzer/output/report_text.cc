// SPDX-License-Identifier: Apache-2.0
// The report for the person on call: who, how it ended, where the memory went, what was lost on the
// way.
#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "analyzer/output/end_text.h"
#include "analyzer/output/growth_text.h"
#include "analyzer/output/memory.h"
#include "analyzer/output/report.h"
#include "analyzer/output/report_times.h"
#include "analyzer/output/site_text.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"
#include "analyzer/output/workers.h"

namespace heapecho::output {
namespace {

using model::Unit;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

model::Estimate LiveOf(const model::ProcessSummary& process) {
  model::Estimate live;
  for (const model::Estimate& domain : process.live) live += domain;
  return live;
}

std::string Heading(const model::Report& report) {
  std::set<std::string> hosts;
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  for (const model::ProcessSummary& process : report.processes) {
    hosts.insert(process.recording.identity.host);
    first = std::min(first, StartedAt(process.recording));
    last = std::max(last, LastSeenAt(process.recording));
  }
  if (report.processes.empty()) return "heapecho: no recording\n";
  std::map<std::string, size_t> ends;
  for (const model::ProcessSummary& process : report.processes) ++ends[KindOfEnd(process.end)];
  const auto count_of_end = [](std::string* out, const auto& end) {
    absl::StrAppend(out, end.second, " ", end.first);
  };
  const std::string where = hosts.size() == 1
                                ? (hosts.begin()->empty() ? "one host" : Printable(*hosts.begin()))
                                : Plural(hosts.size(), "host");
  return absl::StrCat("heapecho: ", report.processes.size(),
                      report.processes.size() == 1 ? " process on " : " processes on ", where, ": ",
                      absl::StrJoin(ends, ", ", count_of_end), "; ", DateAndTime(first), " to ",
                      DateAndTime(last), " UTC (", Duration(last - first), ")\n");
}

// "8 (1,203 seen)": at once at most, and ever.
std::string ThreadsOf(const model::Recording& recording) {
  const std::string seen = absl::StrCat(HumanCount(recording.threads_seen), " seen");
  if (recording.threads_at_most == 0) return seen;
  return absl::StrCat(HumanCount(recording.threads_at_most), " (", seen, ")");
}

// What is missing of those whose files were written now and then; nothing where all were mapped.
std::string Written(const model::Report& report) {
  size_t written = 0, asked = 0;
  uint64_t pause_ns = 0, longest_ns = 0;
  for (const model::ProcessSummary& process : report.processes) {
    const model::Recording& recording = process.recording;
    if (recording.keeping == model::Keeping::kMapped) continue;
    ++written;
    if (recording.keeping == model::Keeping::kAsked) ++asked;
    pause_ns = std::max(pause_ns, recording.write_pause_ns);
    longest_ns = std::max(longest_ns, recording.write_longest_ns);
  }
  if (written == 0) return "";
  return absl::StrCat(
      "  ", written == report.processes.size() ? "" : absl::StrCat(written, " of the "), "files written, not mapped (",
      asked == written ? "HEAPECHO_MAP=0" : "not safe on their file system", "): of a killed process up to ",
      absl::StrFormat("%.3g s", static_cast<double>(pause_ns) / 1e9), " before its end are missing; ",
      "no thread was held up for more than ", absl::StrFormat("%.3g ms", static_cast<double>(longest_ns) / 1e6), "\n");
}

std::string Processes(const model::Report& report) {
  std::vector<std::vector<std::string>> rows = {{"PROCESS", "PID", "PARENT", "HOST", "END",
                                                 "LAST SEEN (UTC)", "RAN", "THREADS", "LIVE",
                                                 "PEAK", "ALLOCATED", "FILE"}};
  std::vector<std::pair<std::string, std::string>> commands;  // name, command line; distinct
  std::set<uint64_t> limits;
  std::set<std::string> allocators;
  std::map<std::string, size_t> instances;  // processes by host and container
  std::set<std::string> directories;
  model::Estimate left_out;
  for (const model::ProcessSummary& process : report.processes) {
    const model::Recording& recording = process.recording;
    const model::Identity& identity = recording.identity;
    const std::string host =
        identity.container.empty()
            ? identity.host
            : absl::StrCat(identity.host, "/", identity.container.substr(0, 12));
    ++instances[Printable(host)];
    rows.push_back(
        {Printable(process.name), absl::StrCat(recording.pid), absl::StrCat(recording.ppid),
         Printable(host), EndText(process.end), DateAndTime(LastSeenAt(recording)),
         Duration(LastSeenAt(recording) - StartedAt(recording)), ThreadsOf(recording),
         HumanEstimate(LiveOf(process), Unit::kBytes), HumanEstimate(recording.peak, Unit::kBytes),
         HumanEstimate(recording.allocated, Unit::kBytes), Printable(BaseName(recording.file))});
    std::pair<std::string, std::string> command(Printable(process.name),
                                                Printable(absl::StrJoin(identity.command, " ")));
    if (std::find(commands.begin(), commands.end(), command) == commands.end())
      commands.push_back(std::move(command));
    directories.insert(Printable(DirectoryOf(recording.file)));
    if (identity.cgroup_limit != 0) limits.insert(identity.cgroup_limit);
    if (!identity.allocator.empty()) allocators.insert(Printable(BaseName(identity.allocator)));
    left_out += process.counted_elsewhere;
  }
  std::string text = TextTable(rows, {1, 2});
  absl::StrAppend(&text, "\n");
  for (const auto& [name, command] : commands)
    absl::StrAppend(&text, "  ", name, ": ", command, "\n");
  if (instances.size() > 1) {
    absl::StrAppend(&text, "  processes by instance: ",
                    absl::StrJoin(instances, ", ",
                                  [](std::string* out, const auto& instance) {
                                    absl::StrAppend(out, instance.first, " (", instance.second,
                                                    ")");
                                  }),
                    "\n");
  }
  for (const std::string& directory : directories)
    absl::StrAppend(&text, "  files in ", directory, "\n");
  if (!allocators.empty())
    absl::StrAppend(&text, "  malloc served by ", absl::StrJoin(allocators, ", "), "\n");
  absl::StrAppend(&text, Written(report));
  for (const uint64_t limit : limits)
    absl::StrAppend(&text,
                    "  memory limit of the control group: ", HumanBytes(static_cast<double>(limit)),
                    "\n");
  if (left_out.bytes > 0) {
    absl::StrAppend(
        &text, "  ", HumanEstimate(left_out, Unit::kBytes),
        " of what is live was inherited at forks and counts at another process below\n");
  }
  return text;
}

// Of the peak it is not known how many blocks were live then.
std::string SampledText(const model::Profile& profile) {
  if (profile.value == model::Value::kPeak) return "";
  double samples = 0;
  for (const model::Sample& sample : profile.samples) samples += sample.samples;
  return absl::StrCat(", from ", HumanCount(samples), " sampled");
}

std::string Totals(const model::Report& report) {
  const model::Profile& profile = report.profile;
  constexpr const char* kTitles[] = {"Live at the last moment", "Allocated in total",
                                     "At each process's peak"};
  const bool earlier = profile.value == model::Value::kLive && !report.at.empty();
  std::string text =
      absl::StrCat(earlier ? "Live at that moment" : kTitles[static_cast<size_t>(profile.value)],
                   ": ", HumanEstimate(profile.total, Unit::kBytes), " in ",
                   HumanEstimate(profile.total, Unit::kObjects), SampledText(profile), "\n");
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < profile.domains.size(); ++i) {
    const auto domain = static_cast<model::Domain>(i);
    const model::Estimate& estimate = profile.domains[i];
    if (estimate.bytes == 0 && estimate.objects == 0 && domain != model::Domain::kMalloc) continue;
    rows.push_back({model::DomainName(domain), HumanShare(estimate.bytes, profile.total.bytes),
                    HumanEstimate(estimate, Unit::kBytes),
                    HumanEstimate(estimate, Unit::kObjects)});
  }
  return absl::StrCat(text, TextTable(rows, {1}));
}

// Of those that the profile is told apart by; nothing where it is not.
std::string Shares(const model::Report& report, const ReportOptions& options) {
  if (report.by.empty()) return "";
  const size_t count = std::min(options.top, report.shares.size());
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < count; ++i) {
    const model::Share& share = report.shares[i];
    rows.push_back({HumanShare(share.estimate.bytes, report.profile.total.bytes),
                    HumanEstimate(share.estimate, Unit::kBytes),
                    HumanEstimate(share.estimate, Unit::kObjects), Printable(share.name)});
  }
  return absl::StrCat("By ", report.by, " (", count, " of ",
                      HumanCount(static_cast<double>(report.shares.size())), ")\n",
                      TextTable(rows, {0}), "\n");
}

// `domain`: empty where a group may have several.
std::string GroupText(const model::Profile& profile, const model::SiteGroup& group, size_t rank,
                      absl::string_view domain, size_t frames) {
  std::string text = absl::StrCat(
      absl::StrFormat("%3d. %7s  ", rank, HumanShare(group.estimate.bytes, profile.total.bytes)),
      HumanEstimate(group.estimate, Unit::kBytes), "  ",
      HumanEstimate(group.estimate, Unit::kObjects));
  if (!domain.empty()) absl::StrAppend(&text, "  ", domain);
  if (profile.value == model::Value::kLive) {
    const absl::Duration age =
        absl::Nanoseconds(static_cast<int64_t>(std::min<uint64_t>(group.oldest_ns, INT64_MAX)));
    absl::StrAppend(&text, "  oldest ", Duration(age));
  }
  absl::StrAppend(&text, "  ", Plural(group.sites.size(), "stack"), "\n",
                  StackText(profile, group, frames));
  return text;
}

// Lines of the application's own code; nothing where there is none.
std::string OwnCode(const model::Report& report, const ReportOptions& options) {
  if (report.own.empty()) return "";
  const model::Profile& profile = report.profile;
  const size_t count = std::min(options.top, report.own.size());
  std::string text = absl::StrCat("Which lines of the application asked for it (", count, " of ",
                                  Plural(report.own.size(), "line"), ")\n");
  model::Estimate own;
  for (const model::SiteGroup& group : report.own) own += group.estimate;
  for (size_t i = 0; i < count; ++i)
    absl::StrAppend(&text, GroupText(profile, report.own[i], i + 1, "", options.frames));
  absl::StrAppend(&text, "  without a line of the application on the stack: ",
                  HumanShare(profile.total.bytes - own.bytes, profile.total.bytes), "\n\n");
  return text;
}

std::string TopSites(const model::Report& report, const ReportOptions& options) {
  const size_t count = std::min(options.top, report.groups.size());
  std::string text =
      absl::StrCat("Who allocated it (", count, " of ", Plural(report.groups.size(), "function"),
                   ", ", Plural(report.sites.size(), "stack"), ")\n");
  for (size_t i = 0; i < count; ++i) {
    const model::SiteGroup& group = report.groups[i];
    absl::StrAppend(&text, GroupText(report.profile, group, i + 1, model::DomainName(group.domain),
                                     options.frames));
  }
  return text;
}

std::string Lost(const model::Report& report) {
  std::vector<std::pair<std::string, uint64_t>> sums;
  const auto add = [&](const std::string& name, uint64_t value) {
    const auto it =
        std::find_if(sums.begin(), sums.end(), [&](const auto& sum) { return sum.first == name; });
    if (it == sums.end()) {
      sums.emplace_back(name, value);
    } else {
      it->second += value;
    }
  };
  for (const model::ProcessSummary& process : report.processes) {
    for (const model::Counter& counter : process.recording.counters)
      add(Printable(counter.name), counter.value);
    add("torn_live", process.recording.torn_live);
    add("torn_events", process.recording.torn_events);
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : sums)
    rows.push_back({name, HumanCount(static_cast<double>(value))});
  return absl::StrCat("What was lost or cut short, over all recordings\n", TextTable(rows, {1}));
}

// What recording cost, as the processes measured it themselves.
std::string Cost(const model::Report& report) {
  double own_ns = 0, cpu_ns = 0, disk = 0;
  for (const model::ProcessSummary& process : report.processes) {
    own_ns += static_cast<double>(process.recording.own_ns);
    cpu_ns += static_cast<double>(process.recording.cpu_ns);
    disk += static_cast<double>(process.recording.disk_bytes);
  }
  return absl::StrCat(
      "What recording cost: ", absl::StrFormat("%.2f s of %.1f s", own_ns / 1e9, cpu_ns / 1e9),
      " CPU time (", HumanShare(own_ns, cpu_ns), "), ", HumanBytes(disk), " on disk\n");
}

}  // namespace

std::string ReportText(const model::Report& report, const ReportOptions& options) {
  if (report.processes.empty())
    return absl::StrCat(Heading(report), "\n", WarningsText(report.profile));
  const std::string body =
      report.profile.compared
          ? GrowthText(report, options)
          : absl::StrCat(MomentText(report), Totals(report), "\n", Shares(report, options),
                         OwnCode(report, options), TopSites(report, options), "\n");
  return absl::StrCat(Heading(report), "\n", LastMinutes(report), FindingsText(report),
                      Processes(report), "\n", MemoryText(report), body, Lost(report), "\n", Cost(report), "\n",
                      WarningsText(report.profile));
}

}  // namespace heapecho::output

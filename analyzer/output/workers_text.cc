// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "analyzer/output/end_text.h"
#include "analyzer/output/report_times.h"
#include "analyzer/output/site_text.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"
#include "analyzer/output/workers.h"

namespace heapecho::output {
namespace {

std::string BytesOrUnknown(uint64_t bytes) {
  return bytes != 0 ? HumanBytes(static_cast<double>(bytes)) : "?";
}

std::string TopSiteText(const model::ProcessSummary& process, const model::Estimate& live) {
  if (!process.top_site) return "";
  return absl::StrCat(HumanShare(process.top_site->estimate.bytes, live.bytes), " ",
                      FrameText(process.top_site->frame));
}

// "gunicorn under 345 on web-1/0123456789ab: 7 workers, 4 running, 3 OOM-killed; RESTART LOOP"
std::string GroupHeading(const model::Report& report, const model::WorkerGroup& group) {
  std::string text = Printable(group.name);
  if (group.parent_pid != 0) absl::StrAppend(&text, " under ", group.parent_pid);
  if (!group.host.empty()) absl::StrAppend(&text, " on ", Printable(group.host));
  if (!group.container.empty())
    absl::StrAppend(&text, "/", Printable(group.container.substr(0, 12)));
  std::map<std::string, size_t> ends;
  for (const size_t i : group.generations) ++ends[KindOfEnd(report.processes[i].end)];
  absl::StrAppend(&text, ": ", Plural(group.generations.size(), "worker"), ", ",
                  absl::StrJoin(ends, ", ", [](std::string* out, const auto& end) {
                    absl::StrAppend(out, end.second, " ", end.first);
                  }));
  if (group.restart_loop) absl::StrAppend(&text, "; RESTART LOOP");
  return text;
}

std::string GroupTable(const model::Report& report, const model::WorkerGroup& group) {
  std::vector<std::vector<std::string>> rows = {
      {"PID", "STARTED (UTC)", "RAN", "END", "PEAK RSS", "LIMIT", "OF IT", "LIVE", "MOST OF IT"}};
  for (const size_t i : group.generations) {
    const model::ProcessSummary& process = report.processes[i];
    const model::End& end = process.end;
    model::Estimate live;
    for (const model::Estimate& domain : process.live) live += domain;
    rows.push_back(
        {absl::StrCat(process.recording.pid), DateAndTime(StartedAt(process.recording)),
         Duration(EndedAt(process) - StartedAt(process.recording)), EndText(end),
         BytesOrUnknown(end.peak_rss),
         end.memory_limit != 0 ? HumanBytes(static_cast<double>(end.memory_limit)) : "none",
         end.memory_limit != 0 && end.peak_rss != 0
             ? HumanShare(static_cast<double>(end.peak_rss), static_cast<double>(end.memory_limit))
             : "",
         HumanBytes(live.bytes), TopSiteText(process, live)});
  }
  return TextTable(rows, {0, 4, 5, 6, 7});
}

}  // namespace

std::string FindingsText(const model::Report& report) {
  if (report.findings.empty()) return "";
  std::string text = "Findings\n";
  for (const model::Finding& finding : report.findings)
    absl::StrAppend(&text, "  ", model::SeverityName(finding.severity), ": ",
                    Printable(finding.text), "\n");
  return absl::StrCat(text, "\n");
}

std::string WorkersText(const model::Report& report) {
  std::string text = FindingsText(report);
  if (report.workers.empty())
    absl::StrAppend(&text, "no workers: no process is another one's child\n");
  for (const model::WorkerGroup& group : report.workers) {
    if (&group != &report.workers.front()) absl::StrAppend(&text, "\n");
    absl::StrAppend(&text, GroupHeading(report, group), "\n", GroupTable(report, group));
  }
  return text;
}

}  // namespace heapecho::output

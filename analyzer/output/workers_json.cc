// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "analyzer/output/json_parts.h"
#include "analyzer/output/report_times.h"
#include "analyzer/output/workers.h"

namespace heapecho::output {
namespace {

Json GenerationOf(const model::ProcessSummary& process) {
  const model::End& end = process.end;
  const absl::Time started = StartedAt(process.recording), ended = EndedAt(process);
  Json json{{"id", process.recording.id.ToHex()},
            {"pid", process.recording.pid},
            {"started_at", Rfc3339(started)},
            {"ended_at", Rfc3339(ended)},
            {"lifetime_s",
             static_cast<double>(std::max<int64_t>(absl::ToInt64Milliseconds(ended - started), 0)) /
                 1000},
            {"end", model::ProcessStateName(end.state)}};
  if (end.state == model::ProcessState::kExited && end.exit_status >= 0)
    json["exit_status"] = end.exit_status;
  if (end.signal != 0) json["signal"] = end.signal;
  json["oom_kill"] = model::OomKillName(end.oom_kill);
  json["timed_out"] = end.timed_out;
  if (end.peak_rss != 0) json["peak_rss_bytes"] = end.peak_rss;
  if (end.memory_limit != 0) json["limit_bytes"] = end.memory_limit;
  if (process.top_site) {
    Json site = Json::parse(FrameJson(process.top_site->frame));
    site["bytes"] = Whole(process.top_site->estimate.bytes);
    json["top_site"] = std::move(site);
  }
  return json;
}

}  // namespace

void AppendWorkersJson(const model::Report& report, std::string* out) {
  AppendLines(
      report.workers.size(),
      [&](size_t i) {
        const model::WorkerGroup& group = report.workers[i];
        Json json;
        if (!group.parent_id.IsZero()) json["parent_id"] = group.parent_id.ToHex();
        if (group.parent_pid != 0) json["parent_pid"] = group.parent_pid;
        if (!group.host.empty()) json["host"] = group.host;
        if (!group.container.empty()) json["container"] = group.container;
        json["command"] = report.processes[group.generations.front()].recording.identity.command;
        json["restart_loop"] = group.restart_loop;
        json["generations"] = Json::array();
        for (const size_t process : group.generations)
          json["generations"].push_back(GenerationOf(report.processes[process]));
        *out += Text(json);
      },
      out);
}

void AppendFindingsJson(const model::Report& report, std::string* out) {
  AppendLines(
      report.findings.size(),
      [&](size_t i) {
        const model::Finding& finding = report.findings[i];
        Json evidence = Json::object();
        for (const auto& [key, value] : finding.evidence)
          std::visit([&](const auto& known) { evidence[key] = known; }, value);
        *out += Text(Json{{"rule", finding.rule},
                          {"severity", model::SeverityName(finding.severity)},
                          {"text", finding.text},
                          {"evidence", std::move(evidence)}});
      },
      out);
}

std::string WorkersJson(const model::Report& report) {
  std::string out = absl::StrCat("{\"schema\":", kJsonSchema, ",\n \"workers\":");
  AppendWorkersJson(report, &out);
  absl::StrAppend(&out, ",\n \"findings\":");
  AppendFindingsJson(report, &out);
  absl::StrAppend(&out, ",\n \"warnings\":");
  AppendLines(
      report.profile.warnings.size(), [&](size_t i) { out += Text(report.profile.warnings[i]); },
      &out);
  absl::StrAppend(&out, "\n}\n");
  return out;
}

}  // namespace heapecho::output

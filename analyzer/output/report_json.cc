// SPDX-License-Identifier: Apache-2.0
// The report as JSON, schema 1. Each value is written by the library; the arrays around them are
// put together here, so that a report of many sites is never held as a tree of objects.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "analyzer/output/json_parts.h"
#include "analyzer/output/memory.h"
#include "analyzer/output/report.h"
#include "analyzer/output/report_times.h"
#include "analyzer/output/workers.h"

namespace heapecho::output {
namespace {

double Seconds(uint64_t ns) { return static_cast<double>(ns / 1'000'000) / 1000; }

Json ToJson(const model::Estimate& estimate) {
  return {{"bytes", Whole(estimate.bytes)},
          {"bytes_error", Whole(estimate.BytesError())},
          {"objects", Whole(estimate.objects)},
          {"objects_error", Whole(estimate.ObjectsError())}};
}

bool IsNothing(const model::Estimate& estimate) {
  return estimate.bytes == 0 && estimate.objects == 0;
}

Json DomainsOf(const model::ProcessSummary& process) {
  Json domains = Json::object();
  for (size_t i = 0; i < process.live.size(); ++i) {
    const auto domain = static_cast<model::Domain>(i);
    const bool unused =
        IsNothing(process.live[i]) && IsNothing(process.peak[i]) && IsNothing(process.allocated[i]);
    if (unused && domain != model::Domain::kMalloc) continue;
    domains[model::DomainName(domain)] = {{"live", ToJson(process.live[i])},
                                          {"peak", ToJson(process.peak[i])},
                                          {"allocated", ToJson(process.allocated[i])}};
  }
  return domains;
}

// The walk is recorded as "full", or "native-only: " and why; the domain as "hooked", or "not hooked: " and why.
Json PythonOf(const model::Identity& identity) {
  Json json{{"version", identity.python_version}};
  const size_t colon = identity.python_walk.find(": ");
  if (!identity.python_walk.empty()) json["walk"] = identity.python_walk.substr(0, colon);
  if (colon != std::string::npos) json["reason"] = identity.python_walk.substr(colon + 2);
  const std::string& domain = identity.python_domain;
  const size_t why = domain.find(": ");
  if (!domain.empty()) json["domain"] = domain.substr(0, why);
  if (why != std::string::npos) json["domain_reason"] = domain.substr(why + 2);
  return json;
}

// "library: state", or "library: state: " and why.
Json ArrowOf(const model::Identity& identity) {
  Json libraries = Json::array();
  for (const std::string& line : identity.arrow) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(": ", 2));
    Json library{{"library", parts[0]}};
    if (parts.size() > 1) library["state"] = parts[1];
    if (parts.size() > 2) library["reason"] = parts[2];
    libraries.push_back(std::move(library));
  }
  return libraries;
}

void AppendEnd(const model::End& end, Json* json) {
  (*json)["end"] = model::ProcessStateName(end.state);
  if (end.state == model::ProcessState::kExited && end.exit_status >= 0)
    (*json)["exit_status"] = end.exit_status;
  if (end.signal != 0) (*json)["signal"] = end.signal;
  (*json)["oom_kill"] = model::OomKillName(end.oom_kill);
  if (!end.evidence.empty()) (*json)["end_evidence"] = end.evidence;
}

Json ToJson(const model::ProcessSummary& process) {
  const model::Recording& recording = process.recording;
  const model::Identity& identity = recording.identity;
  Json json;
  json["file"] = recording.file;
  json["id"] = recording.id.ToHex();
  if (!recording.parent_id.IsZero()) json["parent_id"] = recording.parent_id.ToHex();
  if (!identity.host.empty()) json["host"] = identity.host;
  if (!identity.container.empty()) json["container"] = identity.container;
  json["pid"] = recording.pid;
  json["ppid"] = recording.ppid;
  json["command"] = identity.command;
  if (!identity.executable.empty()) json["executable"] = identity.executable;
  if (!identity.allocator.empty()) json["allocator"] = identity.allocator;
  json["started_at"] = Rfc3339(StartedAt(recording));
  json["last_seen_at"] = Rfc3339(LastSeenAt(recording));
  AppendEnd(process.end, &json);
  json["interval_bytes"] = recording.interval_now;
  json["samples"] = recording.samples;
  json["drops"] = Json::object();
  for (const model::Counter& counter : recording.counters)
    json["drops"][counter.name] = counter.value;
  json["drops"]["torn_live"] = recording.torn_live;
  json["drops"]["torn_events"] = recording.torn_events;
  json["disk_bytes"] = recording.disk_bytes;
  json["keeping"] = recording.keeping == model::Keeping::kMapped ? "mapped" : "written";
  if (recording.keeping != model::Keeping::kMapped) {
    const auto milliseconds = [](uint64_t ns) { return std::round(static_cast<double>(ns) / 1e4) / 100; };
    json["written"] = {{"asked_for", recording.keeping == model::Keeping::kAsked},
                       {"pause_ms", milliseconds(recording.write_pause_ns)},
                       {"longest_ms", milliseconds(recording.write_longest_ns)}};
  }
  model::Estimate live;
  for (const model::Estimate& domain : process.live) live += domain;
  json["live"] = ToJson(live);
  json["peak"] = ToJson(recording.peak);
  json["allocated"] = ToJson(recording.allocated);
  json["domains"] = DomainsOf(process);
  json["memory"] = MemoryJson(process);
  if (Json group = CgroupJson(recording.cgroup); !group.empty())
    json["cgroup"] = std::move(group);
  json["threads"] = {{"seen", recording.threads_seen}};
  if (recording.threads_at_most != 0) json["threads"]["at_most"] = recording.threads_at_most;
  if (const model::GrowthWindow& window = process.growth; window.from_ns != 0) {
    json["growth"] = {
        {"since", Rfc3339(absl::FromUnixNanos(static_cast<int64_t>(window.from_realtime_ns)))},
        {"seconds", std::round(window.seconds * 1000) / 1000},
        {"bytes", WholeSigned(window.came.bytes - window.went.bytes)},
        {"bytes_error", Whole(std::sqrt(window.came.bytes_variance + window.went.bytes_variance))}};
  }
  if (process.moment.known) {
    json["shown_at"] =
        Rfc3339(absl::FromUnixNanos(static_cast<int64_t>(process.moment.realtime_ns)));
  }
  if (!identity.python_version.empty()) json["python"] = PythonOf(identity);
  if (!identity.arrow.empty()) json["arrow"] = ArrowOf(identity);
  return json;
}

// Of what grew: bytes are the growth, which may be below zero.
Json GrowthOf(const model::Sample& sample) {
  const auto error = [](double came, double went) { return Whole(std::sqrt(came + went)); };
  Json json{{"bytes", WholeSigned(sample.estimate.bytes - sample.before.bytes)},
            {"bytes_error", error(sample.estimate.bytes_variance, sample.before.bytes_variance)},
            {"objects", WholeSigned(sample.estimate.objects - sample.before.objects)},
            {"came_bytes", Whole(sample.estimate.bytes)},
            {"went_bytes", Whole(sample.before.bytes)}};
  if (sample.estimate.bytes > 0) {
    json["mean_age_s"] =
        std::round(sample.growth.byte_seconds / sample.estimate.bytes * 1000) / 1000;
  }
  return json;
}

// `frames`: the text of each frame of the profile.
void AppendSite(const model::Profile& profile, const model::Sample& sample,
                const std::vector<std::string>& frames, std::string* out) {
  Json json{{"domain", model::DomainName(sample.domain)}};
  if (profile.compared) {
    json.update(GrowthOf(sample));
  } else {
    json.update(ToJson(sample.estimate));
  }
  json.erase("objects_error");
  if (profile.value == model::Value::kLive || profile.compared) {
    json["oldest_s"] = Seconds(sample.oldest_ns);
  }
  if (sample.growth.per_second != 0) {
    json["growth_bytes_per_s"] = std::round(sample.growth.per_second * 1000) / 1000;
  }
  absl::StrAppend(out, Text(json));
  out->pop_back();  // the closing brace: one more member follows
  absl::StrAppend(out, ",\"frames\":[");
  for (auto frame = sample.frames.rbegin(); frame != sample.frames.rend(); ++frame)
    absl::StrAppend(out, frame == sample.frames.rbegin() ? "" : ",", frames[frame->value]);
  absl::StrAppend(out, "]}");
}

}  // namespace

std::string ReportJson(const model::Report& report, size_t top) {
  const model::Profile& profile = report.profile;
  // A frame is in many sites: its text is made once.
  std::vector<std::string> frames;
  frames.reserve(profile.frames.size());
  for (const model::Frame& frame : profile.frames) frames.push_back(FrameJson(frame));
  std::string out = absl::StrCat("{\"schema\":", kJsonSchema, ",\n \"recordings\":");
  AppendLines(
      report.processes.size(), [&](size_t i) { out += Text(ToJson(report.processes[i])); }, &out);
  if (!report.by.empty()) {
    absl::StrAppend(&out, ",\n \"by\":", Text(report.by), ",\n \"shares\":");
    AppendLines(
        report.shares.size(),
        [&](size_t i) {
          Json share{{"name", report.shares[i].name}};
          share.update(ToJson(report.shares[i].estimate));
          out += Text(share);
        },
        &out);
  }
  absl::StrAppend(&out, ",\n \"sites\":");
  AppendLines(
      std::min(top, report.sites.size()),
      [&](size_t i) { AppendSite(profile, profile.samples[report.sites[i].value], frames, &out); },
      &out);
  absl::StrAppend(&out, ",\n \"workers\":");
  AppendWorkersJson(report, &out);
  absl::StrAppend(&out, ",\n \"findings\":");
  AppendFindingsJson(report, &out);
  absl::StrAppend(&out, ",\n \"warnings\":");
  AppendLines(
      profile.warnings.size(), [&](size_t i) { out += Text(profile.warnings[i]); }, &out);
  absl::StrAppend(&out, "\n}\n");
  return out;
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/growth_findings.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "analyzer/aggregator/sites.h"

namespace heapecho::aggregator {
namespace {

using model::Finding;
using model::Frame;
using model::ProcessSummary;
using model::Severity;

constexpr double kMebi = 1 << 20;
constexpr double kManyLabelBytes = 16 * kMebi;
constexpr double kManyLabelObjects = 100'000;
constexpr size_t kFindingsOfOneProcess = 3;

std::string NameOf(const Frame& frame) {
  if (frame.file.empty()) return frame.function;
  return absl::StrCat(frame.function, " (", frame.file.substr(frame.file.rfind('/') + 1), ":",
                      frame.line, ")");
}

// "1.2 MiB/h", in the unit of time that makes it readable.
std::string Rate(double bytes_per_second) {
  const double mebibytes = bytes_per_second / kMebi;
  if (mebibytes >= 1) return absl::StrFormat("%.1f MiB a second", mebibytes);
  if (mebibytes * 60 >= 1) return absl::StrFormat("%.1f MiB a minute", mebibytes * 60);
  return absl::StrFormat("%.1f MiB an hour", mebibytes * 3600);
}

Finding Growing(const ProcessSummary& process, const model::SteadySite& site) {
  const double rise = site.after - site.before;
  const double per_second = rise / site.seconds;
  Finding finding;
  finding.rule = site.cache.empty() ? "growing_site" : "unbounded_cache";
  finding.severity = Severity::kWarning;
  const std::string since = absl::FormatTime(
      "%Y-%m-%d %H:%M:%S", absl::FromUnixNanos(static_cast<int64_t>(site.since_realtime_ns)),
      absl::UTCTimeZone());
  finding.text = absl::StrCat(
      site.cache.empty() ? "only grows: " : "a cache that only grows: ", NameOf(site.frame), " of ",
      process.name, " ", process.recording.pid,
      absl::StrFormat(" rose from %.1f to %.1f MiB (%+.1f ± %.1f) since %s UTC, ",
                      site.before / kMebi, site.after / kMebi, rise / kMebi, site.error / kMebi,
                      since),
      Rate(per_second), "; ", site.looks, " looks, and none found it smaller than before");
  if (!site.cache.empty()) {
    absl::StrAppend(&finding.text, "; it is filled through ", site.cache,
                    "; give it a bound (maxsize=, an age, a weak reference)");
  } else {
    absl::StrAppend(&finding.text,
                    "; what is stored there and never taken out? `report --value grown` has the "
                    "stacks");
  }
  finding.evidence = {{"pid", uint64_t{process.recording.pid}},
                      {"site", NameOf(site.frame)},
                      {"bytes_before", std::round(site.before)},
                      {"bytes", std::round(site.after)},
                      {"rise_error_bytes", std::round(site.error)},
                      {"bytes_per_s", std::round(per_second * 1000) / 1000},
                      {"since", since},
                      {"looks", uint64_t{site.looks}}};
  if (!site.cache.empty()) finding.evidence.emplace_back("cache", site.cache);
  return finding;
}

// Code that makes one child of a metric for each combination of labels.
bool MakesLabels(const Frame& frame) {
  if (!frame.IsOfPython()) return false;
  if (absl::StrContains(frame.file, "/prometheus_client/"))
    return absl::EndsWith(frame.function, "labels");
  return absl::StrContains(frame.file, "/opentelemetry/sdk/metrics/") &&
         absl::EndsWith(frame.function, "consume_measurement");
}

std::optional<Finding> LabelExplosion(const model::Report& report) {
  const model::Profile& profile = report.profile;
  model::Estimate held;
  std::map<std::string, double> callers;
  for (const model::Sample& sample : profile.samples) {
    const auto makes = [&](model::FrameId id) { return MakesLabels(profile.frames[id.value]); };
    const auto labels = std::find_if(sample.frames.begin(), sample.frames.end(), makes);
    if (labels == sample.frames.end()) continue;
    held += sample.estimate;
    for (auto caller = labels; caller != sample.frames.begin();) {
      const Frame& frame = profile.frames[(--caller)->value];
      if (!frame.IsOfPython()) continue;
      callers[NameOf(frame)] += sample.estimate.bytes;
      break;
    }
  }
  if (held.bytes < kManyLabelBytes && held.objects < kManyLabelObjects) return std::nullopt;
  const auto most =
      std::max_element(callers.begin(), callers.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  Finding finding;
  finding.rule = "label_explosion";
  finding.severity = Severity::kWarning;
  finding.text = absl::StrFormat(
      "a metrics registry holds %.1f MiB in %.0f objects made for combinations of labels%s; each "
      "combination that ever came stays for the life of the process: no ids, paths or messages as "
      "labels",
      held.bytes / kMebi, held.objects,
      most != callers.end() ? absl::StrCat(", most of them by ", most->first) : "");
  finding.evidence = {{"bytes", std::round(held.bytes)}, {"objects", std::round(held.objects)}};
  if (most != callers.end()) finding.evidence.emplace_back("caller", most->first);
  return finding;
}

}  // namespace

std::string CacheOf(const std::vector<const Frame*>& frames) {
  for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) {
    const std::string& function = (*frame)->function;
    if (function == "infinite_lru_cache_wrapper") return "functools.cache, which has no bound";
    if (function == "bounded_lru_cache_wrapper") return "";  // it has one
    if (!(*frame)->IsOfPython() || !IsOwnCode(**frame)) continue;
    const std::string name = absl::AsciiStrToLower(function.substr(function.find_last_of('.') + 1));
    for (const absl::string_view word : {"cache", "memo", "intern"})
      if (absl::StrContains(name, word)) return NameOf(**frame);
  }
  return "";
}

std::vector<Finding> FindGrowthFindings(const model::Report& report) {
  std::vector<Finding> findings;
  for (const ProcessSummary& process : report.processes) {
    for (size_t i = 0; i < std::min(process.growing.size(), kFindingsOfOneProcess); ++i)
      findings.push_back(Growing(process, process.growing[i]));
  }
  if (std::optional<Finding> labels = LabelExplosion(report)) findings.push_back(*labels);
  return findings;
}

}  // namespace heapecho::aggregator

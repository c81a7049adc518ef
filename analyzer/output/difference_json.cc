// SPDX-License-Identifier: Apache-2.0
// A comparison for programs; the contract is in the header.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analyzer/output/difference.h"
#include "analyzer/output/folded.h"
#include "analyzer/output/json_parts.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

Json Amount(const model::Estimate& estimate) {
  return {{"bytes", Whole(estimate.bytes)},
          {"bytes_error", Whole(estimate.BytesError())},
          {"objects", Whole(estimate.objects)},
          {"objects_error", Whole(estimate.ObjectsError())}};
}

double Tenths(double value) { return std::round(value * 10) / 10; }

Json Of(const model::Estimate& before, const model::Estimate& after, const model::Step& step) {
  return {{"before", Amount(before)},
          {"after", Amount(after)},
          {"step", WholeSigned(step.amount)},
          {"step_error", Whole(step.error)},
          {"sigmas", Tenths(step.sigmas)}};
}

Json Of(const model::Difference::Side& side) {
  Json recordings = Json::array();
  for (const model::ProcessSummary& process : side.processes) {
    recordings.push_back({{"file", process.recording.file},
                          {"id", process.recording.id.ToHex()},
                          {"pid", process.recording.pid}});
  }
  return {{"scope", side.scope}, {"units", side.units}, {"recordings", std::move(recordings)}};
}

// `frames`: the text of each frame of the profile.
std::string WithFrames(const Json& json, const std::vector<std::string>& frames,
                       const std::vector<model::FrameId>& ids) {
  std::string out = Text(json);
  out.pop_back();  // the closing brace: one more member follows
  absl::StrAppend(&out, ",\"frames\":[");
  for (auto id = ids.rbegin(); id != ids.rend(); ++id)
    absl::StrAppend(&out, id == ids.rbegin() ? "" : ",", frames[id->value]);
  return absl::StrCat(out, "]}");
}

void AppendGroups(const model::Difference& difference, const model::ChangedGroups& groups,
                  const std::vector<std::string>& frames, std::string* out) {
  AppendLines(
      groups.groups.size(),
      [&](size_t i) {
        const model::ChangedGroup& changed = groups.groups[i];
        Json json{{"change", model::ChangeName(changed.change)},
                  {"domain", model::DomainName(changed.group.domain)}};
        json.update(Of(changed.group.before, changed.group.estimate, changed.step));
        const model::Sample& site = difference.profile.samples[changed.group.sites.front().value];
        json["stacks"] = changed.group.sites.size();
        json["frame"] = Json::parse(frames[changed.group.frame.value]);
        *out += WithFrames(json, frames, site.frames);
      },
      out);
}

}  // namespace

std::string DifferenceJson(const model::Difference& difference, size_t top) {
  const model::Profile& profile = difference.profile;
  std::vector<std::string> frames;
  frames.reserve(profile.frames.size());
  for (const model::Frame& frame : profile.frames) frames.push_back(FrameJson(frame));
  Json head{{"schema", kJsonSchema},
            {"value", ValueName(profile.value)},
            {"unit", UnitName(difference.unit)}};
  if (!difference.per.empty()) head["per"] = difference.per;
  head["scale"] = difference.before.units / difference.after.units;
  head["before"] = Of(difference.before);
  head["after"] = Of(difference.after);
  Json total{{"change", model::ChangeName(difference.change)}};
  total.update(Of(profile.total_before, profile.total, difference.step));
  head["total"] = std::move(total);
  std::string out = Text(head);
  out.pop_back();
  absl::StrAppend(&out, ",\n \"functions\":");
  AppendGroups(difference, difference.functions, frames, &out);
  absl::StrAppend(&out, ",\n \"own\":");
  AppendGroups(difference, difference.own, frames, &out);
  absl::StrAppend(&out, ",\n \"sites\":");
  std::vector<std::pair<double, size_t>> sites;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const model::Sample& sample = profile.samples[i];
    sites.emplace_back(-std::abs(AmountOf(sample.estimate, difference.unit) -
                                 AmountOf(sample.before, difference.unit)),
                       i);
  }
  std::sort(sites.begin(), sites.end());
  AppendLines(
      std::min(top, sites.size()),
      [&](size_t i) {
        const model::Sample& sample = profile.samples[sites[i].second];
        Json json{{"domain", model::DomainName(sample.domain)},
                  {"before", Amount(sample.before)},
                  {"after", Amount(sample.estimate)}};
        out += WithFrames(json, frames, sample.frames);
      },
      &out);
  absl::StrAppend(&out, ",\n \"warnings\":");
  AppendLines(
      profile.warnings.size(), [&](size_t i) { out += Text(profile.warnings[i]); }, &out);
  return absl::StrCat(out, "\n}\n");
}

std::string DifferenceFolded(const model::Difference& difference, bool lines) {
  const model::Profile& profile = difference.profile;
  std::vector<std::string> frames;
  frames.reserve(profile.frames.size());
  for (const model::Frame& frame : profile.frames) frames.push_back(FoldedFrame(frame, lines));
  std::map<std::string, std::pair<double, double>> amounts;
  for (const model::Sample& sample : profile.samples) {
    const std::string stack = absl::StrJoin(
        sample.frames, ";",
        [&](std::string* out, model::FrameId id) { absl::StrAppend(out, frames[id.value]); });
    auto& [before, after] = amounts[stack.empty() ? "[unknown]" : stack];
    before += AmountOf(sample.before, difference.unit);
    after += AmountOf(sample.estimate, difference.unit);
  }
  std::string out;
  for (const auto& [stack, amount] : amounts) {
    const auto [before, after] = amount;
    if (std::round(before) >= 1 || std::round(after) >= 1)
      absl::StrAppendFormat(&out, "%s %.0f %.0f\n", stack, before, after);
  }
  return out;
}

}  // namespace heapecho::output

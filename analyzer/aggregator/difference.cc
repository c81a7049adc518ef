// SPDX-License-Identifier: Apache-2.0
// Two profiles to one comparison; the contract is in the header.
#include "analyzer/aggregator/difference.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "analyzer/aggregator/significance.h"
#include "analyzer/aggregator/sites.h"

namespace heapecho::aggregator {
namespace {

using model::Estimate;

Estimate Scaled(const Estimate& estimate, double factor) {
  return {.bytes = estimate.bytes * factor,
          .objects = estimate.objects * factor,
          .bytes_variance = estimate.bytes_variance * factor * factor,
          .objects_variance = estimate.objects_variance * factor * factor};
}

model::Frame ComparedFrame(model::Frame frame, bool lines) {
  if (!lines) frame.line = 0;
  return frame;
}

class FrameTable {
 public:
  explicit FrameTable(bool lines) : lines_(lines) {}
  void Add(const std::vector<model::Frame>& frames) {
    for (const model::Frame& frame : frames) index_.try_emplace(ComparedFrame(frame, lines_), 0);
  }
  std::vector<model::Frame> Number() {
    std::vector<model::Frame> frames;
    for (auto& [frame, id] : index_) {
      id = static_cast<uint32_t>(frames.size());
      frames.push_back(frame);
    }
    return frames;
  }
  std::vector<model::FrameId> IdsOf(const std::vector<model::Frame>& frames) const {
    std::vector<model::FrameId> ids;
    for (const model::Frame& frame : frames)
      ids.push_back({index_.at(ComparedFrame(frame, lines_))});
    return ids;
  }

 private:
  const bool lines_;
  std::map<model::Frame, uint32_t> index_;
};

model::ChangedGroups Judge(std::vector<model::SiteGroup> groups, model::Unit unit) {
  model::ChangedGroups judged;
  if (groups.empty()) return judged;
  judged.sigmas = std::max(
      model::kFewestSigmas,
      SigmasExceededWith(model::kChanceOfAFalseName / 2 / static_cast<double>(groups.size())));
  for (model::SiteGroup& group : groups) {
    const model::Change change = ChangeOf(group.before, group.estimate, unit, judged.sigmas);
    judged.changed += change != model::Change::kSame;
    const model::Step step = StepOf(group.before, group.estimate, unit);
    judged.groups.push_back({std::move(group), step, change});
  }
  std::stable_partition(judged.groups.begin(), judged.groups.end(),
                        [](const auto& group) { return group.change != model::Change::kSame; });
  return judged;
}

}  // namespace

model::Profile ComparedProfile(const model::Profile& before, const model::Profile& after,
                               bool lines, double scale_after) {
  model::Profile profile;
  profile.value = after.value;
  profile.compared = true;
  FrameTable table(lines);
  table.Add(before.frames);
  table.Add(after.frames);
  profile.frames = table.Number();
  std::map<std::pair<std::vector<model::FrameId>, model::Domain>, model::Sample> samples;
  const auto add = [&](const model::Profile& from, const auto& put) {
    const std::vector<model::FrameId> ids = table.IdsOf(from.frames);
    for (const model::Sample& sample : from.samples) {
      std::vector<model::FrameId> frames;
      for (const model::FrameId id : sample.frames) frames.push_back(ids[id.value]);
      model::Sample& into = samples[{std::move(frames), sample.domain}];
      into.samples += sample.samples;
      put(sample, &into);
    }
  };
  add(before,
      [](const model::Sample& from, model::Sample* into) { into->before += from.estimate; });
  add(after, [&](const model::Sample& from, model::Sample* into) {
    into->estimate += Scaled(from.estimate, scale_after);
    into->oldest_ns = std::max(into->oldest_ns, from.oldest_ns);
  });
  for (auto& [key, sample] : samples) {
    sample.frames = key.first;
    sample.domain = key.second;
    profile.samples.push_back(std::move(sample));
  }
  profile.total_before = before.total;
  profile.total = Scaled(after.total, scale_after);
  profile.domains_before = before.domains;
  for (size_t i = 0; i < profile.domains.size(); ++i)
    profile.domains[i] = Scaled(after.domains[i], scale_after);
  profile.warnings = before.warnings;
  for (const std::string& warning : after.warnings) {
    if (std::find(before.warnings.begin(), before.warnings.end(), warning) == before.warnings.end())
      profile.warnings.push_back(warning);
  }
  return profile;
}

model::Difference Compare(ComparedSide before, ComparedSide after, const CompareOptions& options) {
  model::Difference difference;
  difference.unit = options.unit;
  difference.lines = options.lines;
  difference.profile = ComparedProfile(before.report.profile, after.report.profile, options.lines,
                                       before.side.units / after.side.units);
  difference.before = std::move(before.side);
  difference.before.processes = std::move(before.report.processes);
  difference.after = std::move(after.side);
  difference.after.processes = std::move(after.report.processes);
  const model::Profile& profile = difference.profile;
  difference.step = StepOf(profile.total_before, profile.total, options.unit);
  difference.change =
      ChangeOf(profile.total_before, profile.total, options.unit, model::kFewestSigmas);
  difference.functions = Judge(GroupSites(profile, options.unit), options.unit);
  difference.own = Judge(GroupOwnCode(profile, options.unit), options.unit);
  return difference;
}

}  // namespace heapecho::aggregator

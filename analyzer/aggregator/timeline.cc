// SPDX-License-Identifier: Apache-2.0
// The histories of many recordings to one timeline; the contract is in the header.
#include "analyzer/aggregator/timeline.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "analyzer/aggregator/lookback.h"
#include "analyzer/aggregator/memory.h"
#include "analyzer/aggregator/merged_stacks.h"
#include "analyzer/aggregator/namer.h"
#include "analyzer/aggregator/sites.h"

namespace heapecho::aggregator {
namespace {

constexpr uint32_t kOther = UINT32_MAX;

// What a point says of one stack.
struct Held {
  uint32_t key;
  float bytes;
};

template <typename T>
bool Agrees(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

uint64_t RealtimeNs(const model::Recording& recording, uint64_t monotonic_ns) {
  return static_cast<uint64_t>(absl::ToUnixNanos(TimeOf(recording, monotonic_ns)));
}

}  // namespace

struct TimelineBuilder::State {
  using Key = std::tuple<uint32_t, uint32_t, uint32_t, model::Domain>;  // leaves

  uint32_t KeyOf(const model::Stack& stack, MergedStacks::Importer* importer);
  std::vector<uint32_t> FindSites(Namer* namer, std::vector<model::Frame>* sites) const;

  size_t sites;
  Where where;
  MergedStacks merged;
  std::map<Key, uint32_t> keys;
  std::vector<Leaves> leaves;          // by key
  std::vector<model::Domain> domains;  // by key
  std::vector<double> most;            // by key: bytes, at any one point of any one process
  std::vector<model::TimelineProcess> processes;
  std::vector<std::vector<std::vector<Held>>> held;  // by process, by point
  std::vector<std::string> warnings;
};

uint32_t TimelineBuilder::State::KeyOf(const model::Stack& stack,
                                       MergedStacks::Importer* importer) {
  const Leaves of = {.native = importer->ImportNative(stack.native_leaf),
                     .python = importer->ImportPython(stack.python_leaf),
                     .behalf = importer->ImportPython(stack.behalf_leaf)};
  const auto [entry, is_new] =
      keys.try_emplace({of.native.value, of.python.value, of.behalf.value, stack.domain},
                       static_cast<uint32_t>(leaves.size()));
  if (is_new) {
    leaves.push_back(of);
    domains.push_back(stack.domain);
    most.push_back(0);
  }
  return entry->second;
}

TimelineBuilder::TimelineBuilder(size_t sites, Where where) : state_(std::make_unique<State>()) {
  state_->sites = sites;
  state_->where = std::move(where);
}
TimelineBuilder::~TimelineBuilder() = default;

void TimelineBuilder::Add(const model::Recording& recording, model::ProcessState process_state) {
  State& state = *state_;
  if (!Agrees(state.where.pids, recording.pid) ||
      !Agrees(state.where.hosts, recording.identity.host)) {
    return;
  }
  for (const std::string& warning : recording.warnings)
    state.warnings.push_back(absl::StrCat(recording.file, ": ", warning));
  MergedStacks::Importer importer(
      &state.merged, {recording.modules, recording.native_nodes, recording.python_nodes,
                      recording.python_code, recording.identity.executable});
  std::vector<uint32_t> key_of(recording.stacks.size(), kOther);
  model::TimelineProcess process;
  process.name = ProcessName(recording.identity);
  process.pid = recording.pid;
  process.host = recording.identity.host;
  process.id = recording.id.ToHex();
  process.file = recording.file;
  process.state = process_state;
  process.started_realtime_ns = RealtimeNs(recording, recording.process_start_ns);
  process.ended_realtime_ns = RealtimeNs(recording, LastSeenNs(recording));
  std::vector<std::vector<Held>> held;
  for (const model::HistoryPoint& from : recording.history) {
    model::TimelinePoint point;
    point.realtime_ns = from.realtime_ns;
    point.from_realtime_ns = from.realtime_ns - (from.time_ns - from.from_ns);
    point.values = from;
    point.memory = AccountOf(recording, recording.live_blocks, recording.stacks, from);
    point.values.stacks.clear();
    point.values.stacks.shrink_to_fit();
    std::vector<Held>& here = held.emplace_back();
    for (const model::HistoryPoint::Held& one : from.stacks) {
      uint32_t& key = key_of[one.stack.value];
      if (key == kOther) key = state.KeyOf(recording.stacks[one.stack.value], &importer);
      here.push_back({key, static_cast<float>(one.bytes)});
      state.most[key] = std::max(state.most[key], one.bytes);
    }
    process.points.push_back(std::move(point));
  }
  state.processes.push_back(std::move(process));
  state.held.push_back(std::move(held));
}

// The largest groups, as frames; gives for each key the site that it belongs to, or kOther.
std::vector<uint32_t> TimelineBuilder::State::FindSites(Namer* namer,
                                                        std::vector<model::Frame>* named) const {
  model::Profile profile;
  for (size_t key = 0; key < leaves.size(); ++key) {
    model::Sample sample;
    namer->Append(leaves[key], Native::kFull, false, &sample.frames);
    sample.domain = domains[key];
    sample.estimate.bytes = most[key];
    profile.samples.push_back(std::move(sample));
  }
  namer->Finish(&profile);
  std::vector<model::SiteGroup> groups = GroupOwnCode(profile, model::Unit::kBytes);
  std::vector<bool> owned(leaves.size(), false);
  for (const model::SiteGroup& group : groups)
    for (const model::SampleId site : group.sites) owned[site.value] = true;
  for (model::SiteGroup& group : GroupSites(profile, model::Unit::kBytes)) {
    model::SiteGroup rest = group;
    rest.estimate = {};
    std::erase_if(rest.sites, [&](model::SampleId site) { return owned[site.value]; });
    for (const model::SampleId site : rest.sites)
      rest.estimate += profile.samples[site.value].estimate;
    if (!rest.sites.empty()) groups.push_back(std::move(rest));
  }
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
    return a.estimate.bytes > b.estimate.bytes;
  });
  std::vector<uint32_t> site_of(leaves.size(), kOther);
  for (uint32_t i = 0; i < std::min(groups.size(), sites); ++i) {
    named->push_back(profile.frames[groups[i].frame.value]);
    for (const model::SampleId site : groups[i].sites) site_of[site.value] = i;
  }
  return site_of;
}

model::Timeline TimelineBuilder::Finish(SymbolizeFn symbolize, PythonLinesFn python_lines,
                                        absl::FunctionRef<void(size_t, size_t)> progress) {
  State& state = *state_;
  model::Timeline timeline;
  Namer namer(state.merged);
  namer.Name(state.leaves, symbolize, python_lines, progress);
  const std::vector<uint32_t> site_of = state.FindSites(&namer, &timeline.sites);
  for (size_t i = 0; i < state.processes.size(); ++i) {
    for (size_t k = 0; k < state.processes[i].points.size(); ++k) {
      std::vector<double>& sites = state.processes[i].points[k].sites;
      sites.resize(timeline.sites.size());
      for (const Held& held : state.held[i][k])
        if (site_of[held.key] != kOther) sites[site_of[held.key]] += held.bytes;
    }
  }
  timeline.processes = std::move(state.processes);
  std::stable_sort(timeline.processes.begin(), timeline.processes.end(),
                   [](const model::TimelineProcess& a, const model::TimelineProcess& b) {
                     return std::tie(a.started_realtime_ns, a.host, a.pid, a.id) <
                            std::tie(b.started_realtime_ns, b.host, b.pid, b.id);
                   });
  timeline.warnings = std::move(state.warnings);
  return timeline;
}

}  // namespace heapecho::aggregator

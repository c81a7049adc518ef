// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/workers.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "absl/strings/str_join.h"
#include "analyzer/aggregator/moments.h"

namespace heapecho::aggregator {
namespace {

using model::End;
using model::OomKill;
using model::ProcessState;
using model::ProcessSummary;
using model::Recording;

constexpr size_t kLoop = 3;
constexpr double kSameLimit = 0.9;  // the least of the most that they held
constexpr double kMostlyHeap = 0.5;
constexpr int64_t kShortNs = 10'000'000'000;

// The recorded process that is the parent, by its id or by its pid in one place.
const Recording* ParentOf(const std::vector<ProcessSummary>& processes, const Recording& child) {
  const Recording* found = nullptr;
  for (const ProcessSummary& process : processes) {
    const Recording& other = process.recording;
    if (&other == &child) continue;
    if (!child.parent_id.IsZero() && other.id == child.parent_id) return &other;
    const bool same_place =
        other.boot_id == child.boot_id && other.pid_namespace == child.pid_namespace;
    if (same_place && other.pid == child.ppid && other.start_ticks <= child.start_ticks &&
        (found == nullptr || found->start_ticks <= other.start_ticks)) {
      found = &other;
    }
  }
  return found;
}

enum class Way : uint8_t { kOther, kOomKilled, kKilled, kExited };

// How it ended, as far as it may be one of a loop; with the signal or status.
std::pair<Way, int> WayOf(const End& end) {
  if (end.timed_out) return {Way::kOther, 0};
  if (end.oom_kill != OomKill::kNo) return {Way::kOomKilled, 0};
  if (end.state == ProcessState::kKilled && end.signal != 0) return {Way::kKilled, end.signal};
  if (end.state == ProcessState::kExited && end.exit_status > 0)
    return {Way::kExited, end.exit_status};
  return {Way::kOther, 0};
}

bool IsMostlyHeap(const ProcessSummary& process) {
  double live = 0;
  for (const model::Estimate& domain : process.live) live += domain.bytes;
  return live >= kMostlyHeap * static_cast<double>(process.end.peak_rss);
}

// What a shell or a build runs by the hundred: another program, which did its work and was gone.
bool IsShortCommand(const ProcessSummary& process) {
  const ProcessState state = process.end.state;
  if (state == ProcessState::kExec) return true;
  const bool forked = process.recording.forked_at_ns != 0;
  return !forked && state == ProcessState::kExited && process.end.exit_status == 0 &&
         EndedNs(process) - StartedNs(process.recording) < kShortNs;
}

// Whether the run may go on with this one.
bool GoesOn(const std::vector<ProcessSummary>& processes, const std::vector<size_t>& run,
            size_t next) {
  const End& end = processes[next].end;
  const std::pair<Way, int> way = WayOf(end);
  if (way.first == Way::kOther) return false;
  const bool limit_is_known = way.first == Way::kOomKilled;
  if (!limit_is_known && (end.peak_rss == 0 || !IsMostlyHeap(processes[next]))) return false;
  if (run.empty()) return true;
  if (WayOf(processes[run.front()].end) != way) return false;
  if (limit_is_known) return true;
  uint64_t least = end.peak_rss, most = end.peak_rss;
  for (const size_t i : run) {
    least = std::min(least, processes[i].end.peak_rss);
    most = std::max(most, processes[i].end.peak_rss);
  }
  return static_cast<double>(least) >= kSameLimit * static_cast<double>(most);
}

}  // namespace

std::vector<model::WorkerGroup> FindWorkers(const std::vector<ProcessSummary>& processes) {
  using Key = std::tuple<std::string, std::string, model::RecordingId, uint32_t, std::string>;
  std::map<Key, model::WorkerGroup> by_key;
  for (size_t i = 0; i < processes.size(); ++i) {
    const Recording& recording = processes[i].recording;
    const Recording* parent = ParentOf(processes, recording);
    const model::RecordingId parent_id = parent != nullptr ? parent->id : model::RecordingId{};
    // Of a container's first process and of orphans the parent says nothing.
    const uint32_t parent_pid = parent != nullptr    ? parent->pid
                                : recording.ppid > 1 ? recording.ppid
                                                     : 0;
    const bool by_host = parent == nullptr && parent_pid == 0;
    const std::string container = by_host ? "" : recording.identity.container;
    model::WorkerGroup& group = by_key[{recording.identity.host, container, parent_id, parent_pid,
                                        absl::StrJoin(recording.identity.command, "\n")}];
    group.parent_id = parent_id;
    group.parent_pid = parent_pid;
    group.name = processes[i].name;
    group.host = recording.identity.host;
    group.container = container;
    group.generations.push_back(i);
  }
  std::vector<model::WorkerGroup> groups;
  for (auto& [key, group] : by_key) {
    if (group.parent_id.IsZero() && group.generations.size() < 2) continue;
    if (std::all_of(group.generations.begin(), group.generations.end(),
                    [&](size_t i) { return IsShortCommand(processes[i]); })) {
      continue;
    }
    std::stable_sort(group.generations.begin(), group.generations.end(), [&](size_t a, size_t b) {
      return StartedNs(processes[a].recording) < StartedNs(processes[b].recording);
    });
    group.restart_loop = !RestartLoop(processes, group).empty();
    groups.push_back(std::move(group));
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const model::WorkerGroup& a, const model::WorkerGroup& b) {
                     return StartedNs(processes[a.generations.front()].recording) <
                            StartedNs(processes[b.generations.front()].recording);
                   });
  return groups;
}

std::vector<size_t> RestartLoop(const std::vector<ProcessSummary>& processes,
                                const model::WorkerGroup& group) {
  std::vector<size_t> ended;
  for (const size_t i : group.generations) {
    const ProcessState state = processes[i].end.state;
    const bool silent =
        state == ProcessState::kUnknown && processes[i].end.oom_kill == OomKill::kNo;
    if (state != ProcessState::kRunning && state != ProcessState::kExec && !silent)
      ended.push_back(i);
  }
  std::stable_sort(ended.begin(), ended.end(), [&](size_t a, size_t b) {
    return EndedNs(processes[a]) < EndedNs(processes[b]);
  });
  std::vector<size_t> longest, run;
  for (const size_t i : ended) {
    if (!GoesOn(processes, run, i)) {
      run.clear();
      if (!GoesOn(processes, run, i)) continue;
    }
    run.push_back(i);
    if (run.size() > longest.size()) longest = run;
  }
  return longest.size() >= kLoop ? longest : std::vector<size_t>{};
}

}  // namespace heapecho::aggregator

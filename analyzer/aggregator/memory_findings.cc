// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/memory_findings.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "analyzer/aggregator/moments.h"
#include "analyzer/aggregator/size_classes.h"

namespace heapecho::aggregator {
namespace {

using model::Finding;
using model::ProcessSummary;
using model::Severity;

constexpr double kMebi = 1 << 20;
constexpr double kWorthSaying = 32 * kMebi;
constexpr double kRetainedShare = 0.2;
constexpr double kCacheShare = 1.0 / 3;
constexpr double kSharedShare = 0.2;

double Bytes(uint64_t bytes) { return static_cast<double>(bytes); }

// One of the allocators: what it keeps, and what can be done.
struct Keeper {
  absl::string_view rule, who;
  std::optional<double> (*kept)(const model::MemoryAccount&);
  std::string (*way_out)(const ProcessSummary&);
};

std::string MallocsWayOut(const ProcessSummary& process) {
  const model::Recording& recording = process.recording;
  switch (AllocatorOf(recording.identity.allocator)) {
    case Allocator::kGlibc:
      break;
    case Allocator::kJemalloc:
      return "jemalloc gives pages back when they were unused for a while: "
             "MALLOC_CONF=dirty_decay_ms:1000,muzzy_decay_ms:0 shortens that";
    case Allocator::kTcmalloc:
    case Allocator::kMimalloc:
      return "another allocator may give back more: `heapecho run --allocator jemalloc` tries one";
  }
  return absl::StrCat(
      "glibc has an arena for each of up to eight threads a processor, and gives back only what "
      "lies at an arena's end (",
      recording.threads_seen,
      " threads allocated here): MALLOC_ARENA_MAX=2 in the environment, "
      "fewer threads, or try `heapecho run --allocator jemalloc`");
}

std::string PythonsWayOut(const ProcessSummary&) {
  return "an arena goes back only when the last object in it is gone, so a few that stay hold the "
         "memory of all that went: let large passing work be done in a process that ends "
         "(gunicorn --max-requests, a pool with maxtasksperchild), or in smaller pieces";
}

std::string ArrowsWayOut(const ProcessSummary&) {
  return "pyarrow.default_memory_pool().release_unused() after large tables are gone, or "
         "ARROW_DEFAULT_MEMORY_POOL=system with an allocator that gives back (jemalloc); reading "
         "in batches keeps the peak, and so what is kept, small";
}

constexpr Keeper kKeepers[] = {
    {"malloc_keeps", "malloc",
     [](const model::MemoryAccount& account) { return account.retained.malloc; }, MallocsWayOut},
    {"python_keeps", "Python's allocator",
     [](const model::MemoryAccount& account) { return account.retained.python; }, PythonsWayOut},
    {"arrow_keeps", "Arrow's memory pools",
     [](const model::MemoryAccount& account) { return account.retained.arrow; }, ArrowsWayOut},
};

std::optional<Finding> FindKept(const std::vector<ProcessSummary>& processes,
                                const Keeper& keeper) {
  const ProcessSummary* worst = nullptr;
  std::vector<std::string> ids;
  for (const ProcessSummary& process : processes) {
    const model::MemoryAccount& account = process.memory;
    const double kept = account.known ? keeper.kept(account).value_or(0) : 0;
    if (kept < kWorthSaying || kept < kRetainedShare * account.rss) continue;
    ids.push_back(process.recording.id.ToHex());
    if (worst == nullptr || kept > *keeper.kept(worst->memory)) worst = &process;
  }
  if (worst == nullptr) return std::nullopt;
  const double kept = *keeper.kept(worst->memory);
  Finding finding;
  finding.rule = std::string(keeper.rule);
  finding.severity = Severity::kWarning;
  finding.text = absl::StrFormat(
      "freed, and kept by %s: %.0f of the %.0f MiB that %s %d has resident hold nothing any more",
      keeper.who, kept / kMebi, worst->memory.rss / kMebi, worst->name, worst->recording.pid);
  if (ids.size() > 1)
    absl::StrAppend(&finding.text, " (and ", ids.size() - 1, " more ",
                    ids.size() == 2 ? "process" : "processes", " alike)");
  absl::StrAppend(&finding.text, "; this is no leak; ", keeper.way_out(*worst));
  finding.evidence = {{"pid", uint64_t{worst->recording.pid}},
                      {"kept_bytes", std::round(kept)},
                      {"rss_bytes", std::round(worst->memory.rss)},
                      {"live_bytes", std::round(worst->memory.LiveBytes())},
                      {"ids", std::move(ids)}};
  return finding;
}

// The process whose look at its control group is the youngest, by the clock on the wall.
const ProcessSummary* LastLook(const model::Report& report) {
  const ProcessSummary* last = nullptr;
  const auto when = [](const ProcessSummary& process) {
    return RealtimeNs(process.recording, process.recording.cgroup.time_ns);
  };
  for (const ProcessSummary& process : report.processes) {
    if (process.recording.cgroup.time_ns == 0 || process.recording.cgroup_current == 0) continue;
    if (last == nullptr || when(process) > when(*last)) last = &process;
  }
  return last;
}

std::vector<std::pair<std::string, Finding::Evidence>> EvidenceOf(const model::Recording& looked) {
  const model::CgroupMemory& group = looked.cgroup;
  return {{"cgroup_current_bytes", looked.cgroup_current},
          {"cgroup_limit_bytes", looked.cgroup_limit},
          {"anon_bytes", group.anon},
          {"file_bytes", group.file - std::min(group.file, group.shmem)},
          {"shmem_bytes", group.shmem}};
}

std::optional<Finding> PageCache(const model::Recording& looked) {
  const model::CgroupMemory& group = looked.cgroup;
  const double files = Bytes(group.file - std::min(group.file, group.shmem));
  const double current = Bytes(looked.cgroup_current);
  // Without a limit nobody takes it for a leak.
  if (looked.cgroup_limit == 0 || files < kWorthSaying || files < kCacheShare * current)
    return std::nullopt;
  Finding finding;
  finding.rule = "page_cache";
  finding.severity = Severity::kNotice;
  finding.text = absl::StrFormat(
      "page cache, no leak: %.0f of the %.0f MiB that the container shows are pages of files; the "
      "kernel takes them back before it kills anybody; look at what is anonymous (%.0f MiB)",
      files / kMebi, current / kMebi, Bytes(group.anon) / kMebi);
  finding.evidence = EvidenceOf(looked);
  return finding;
}

std::optional<Finding> SharedMemory(const model::Recording& looked) {
  const double shared = Bytes(looked.cgroup.shmem);
  const double current = Bytes(looked.cgroup_current);
  if (looked.cgroup_limit == 0 || shared < kWorthSaying || shared < kSharedShare * current)
    return std::nullopt;
  Finding finding;
  finding.rule = "shared_memory";
  finding.severity = Severity::kWarning;
  finding.text = absl::StrFormat(
      "%.0f of the %.0f MiB that the container shows are shared memory or files on tmpfs "
      "(/dev/shm, "
      "a /tmp in memory); no process's end frees a file: delete it, or put it on a disk",
      shared / kMebi, current / kMebi);
  finding.evidence = EvidenceOf(looked);
  return finding;
}

// Of a group of workers that run side by side under one limit.
std::optional<Finding> NoRoom(const model::Report& report, const model::WorkerGroup& group) {
  int64_t last_ns = INT64_MIN;
  for (const size_t i : group.generations)
    last_ns = std::max(last_ns, EndedNs(report.processes[i]));
  double largest = 0;
  uint64_t limit = 0, current = 0, cache = 0;
  uint64_t workers = 0;
  for (const size_t i : group.generations) {
    const ProcessSummary& process = report.processes[i];
    const model::Recording& recording = process.recording;
    // Those that were there at the end.
    if (!process.memory.known || EndedNs(process) + 2'000'000'000 < last_ns) continue;
    ++workers;
    largest = std::max(largest, process.memory.rss - process.memory.file_backed);
    limit = std::max(limit, process.end.memory_limit);
    current = std::max(current, recording.cgroup_current);
    const model::CgroupMemory& stat = recording.cgroup;
    cache = std::max(cache, stat.file - std::min(stat.file, stat.shmem));
  }
  const double taken = Bytes(current) - Bytes(std::min(cache, current));
  if (workers < 2 || limit == 0 || current == 0 || largest < kWorthSaying ||
      Bytes(limit) - taken >= largest)
    return std::nullopt;
  Finding finding;
  finding.rule = "no_room_for_a_worker";
  finding.severity = Severity::kWarning;
  finding.text = absl::StrFormat(
      "no room for one more worker: %d of %s take %.0f of the %.0f MiB that the control group may "
      "have, and the largest has %.0f MiB of its own; a worker that is replaced while it still "
      "runs, or grows, ends in the OOM killer; fewer workers, a higher limit, or load before the "
      "fork (--preload)",
      workers, group.name, taken / kMebi, Bytes(limit) / kMebi, largest / kMebi);
  finding.evidence = {{"parent_id", group.parent_id.ToHex()},
                      {"workers", workers},
                      {"taken_bytes", std::round(taken)},
                      {"limit_bytes", limit},
                      {"largest_bytes", std::round(largest)}};
  return finding;
}

}  // namespace

std::vector<Finding> FindMemoryFindings(const model::Report& report) {
  std::vector<Finding> findings;
  const auto add = [&findings](std::optional<Finding> finding) {
    if (finding) findings.push_back(*std::move(finding));
  };
  for (const Keeper& keeper : kKeepers) add(FindKept(report.processes, keeper));
  if (const ProcessSummary* const looked = LastLook(report)) {
    add(PageCache(looked->recording));
    add(SharedMemory(looked->recording));
  }
  for (const model::WorkerGroup& group : report.workers) add(NoRoom(report, group));
  return findings;
}

}  // namespace heapecho::aggregator

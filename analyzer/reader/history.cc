// SPDX-License-Identifier: Apache-2.0
// The history: points of the process's life, each valid by its own checks, put in order.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "analyzer/reader/parts.h"

namespace heapecho::reader {
namespace {

constexpr size_t kDomains = std::tuple_size_v<decltype(model::HistoryPoint::domain_live)>;

double FromFixedPoint(uint64_t value) {
  // Below zero: caught between a free and its allocation on another thread.
  if (static_cast<int64_t>(value) < 0) return 0;
  return static_cast<double>(value) / static_cast<double>(wire::kFixedPointOne);
}

// The words that a merge rewrites, if they are whole; else the point stands for itself.
void ReadCover(const wire::HistoryPoint& from, model::HistoryPoint& point) {
  wire::HistoryCover cover = {};
  for (const wire::HistoryCover& one : from.covers) {
    const bool whole = one.check == wire::CheckOf(one, from.time_ns) && one.from_ns <= from.time_ns;
    if (whole && one.merged > cover.merged) cover = one;
  }
  point.from_ns = cover.merged != 0 ? cover.from_ns : from.time_ns;
  point.merged = std::max<uint64_t>(cover.merged, 1);
  point.rss_most = std::max(cover.rss_most, point.rss());
  point.cgroup_most = std::max(cover.cgroup_most, from.cgroup_current);
  point.live_most = std::max(FromFixedPoint(cover.live_most), point.live.bytes);
}

// What the process knew of the parts of its memory.
void ReadParts(const wire::HistoryPoint& from, model::HistoryPoint& point) {
  const auto bytes = [](uint32_t pages) { return uint64_t{pages} << 12; };
  model::HistoryPoint::Parts& parts = point.parts;
  parts.allocators_known = (from.flags & wire::kHistoryAllocatorsKnown) != 0;
  parts.malloc_free_known = (from.flags & wire::kHistoryMallocFreeKnown) != 0;
  parts.presence_known = (from.flags & wire::kHistoryPresenceKnown) != 0;
  parts.python_arenas = bytes(from.parts.python_arenas);
  parts.python_small = bytes(from.parts.python_small);
  parts.malloc_free = bytes(from.parts.malloc_free);
  parts.malloc_heap = bytes(from.parts.malloc_heap);
  parts.arrow_reserve = bytes(from.parts.arrow_reserve);
  parts.own_private = bytes(from.parts.own_private);
  parts.own_file = bytes(from.parts.own_file);
  parts.stacks = bytes(from.parts.stacks);
  parts.file_private = bytes(from.file_private);
  parts.untouched = bytes(from.untouched);
  parts.shared_live = bytes(from.shared_live);
  parts.inherited = bytes(from.inherited);
}

model::HistoryPoint ToPoint(const wire::HistoryPoint& from, const uint8_t* stacks,
                            Complaints& complaints) {
  model::HistoryPoint point;
  point.time_ns = from.time_ns;
  point.realtime_ns = from.realtime_ns;
  point.boottime_ns = from.boottime_ns;
  point.rss_known = (from.flags & wire::kHistoryRssKnown) != 0;
  point.cgroup_known = (from.flags & wire::kHistoryCgroupKnown) != 0;
  point.rss_anon = from.rss_anon;
  point.rss_file = from.rss_file;
  point.rss_shmem = from.rss_shmem;
  point.swap = from.swap;
  point.cgroup_current = from.cgroup_current;
  point.cgroup_limit = from.cgroup_limit;
  point.cgroup_oom_kills = from.cgroup_oom_kills;
  point.live = ToEstimate({from.live_bytes, from.live_objects, from.live_variance, 0}, complaints);
  point.allocated = FromFixedPoint(from.allocated_bytes);
  point.freed = FromFixedPoint(from.freed_bytes);
  for (size_t i = 0; i < kDomains; ++i) point.domain_live[i] = FromFixedPoint(from.domain_live[i]);
  point.samples = from.samples;
  point.dropped = from.dropped;
  point.own_ns = from.own_ns;
  point.cpu_ns = from.cpu_ns;
  point.interval = from.interval;
  point.threads = from.threads;
  ReadParts(from, point);
  point.unlisted_live = FromFixedPoint(from.unlisted_live);
  point.unlisted_most = FromFixedPoint(from.unlisted_most);
  for (uint32_t i = 0; i < from.stack_count; ++i) {
    const auto held = Load<wire::HistoryStack>(stacks + i * sizeof(wire::HistoryStack));
    const double variance = held.live_variance;
    constexpr double kMost = 1e38;  // what rounding leaves below nothing is nothing
    point.stacks.push_back({.stack = {held.stack},
                            .bytes = FromFixedPoint(held.live_bytes),
                            .bytes_variance = variance > 0 && variance <= kMost ? variance : 0});
  }
  const auto by_id = [](const auto& a, const auto& b) { return a.stack.value < b.stack.value; };
  const auto same = [](const auto& a, const auto& b) { return a.stack == b.stack; };
  std::stable_sort(point.stacks.begin(), point.stacks.end(), by_id);
  point.stacks.erase(std::unique(point.stacks.begin(), point.stacks.end(), same),
                     point.stacks.end());
  ReadCover(from, point);
  return point;
}

// By time, without those that were merged into a later one.
void PutInOrder(std::vector<model::HistoryPoint>& points) {
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; });
  std::vector<model::HistoryPoint> kept;
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (kept.empty() || point->time_ns < kept.back().from_ns) kept.push_back(std::move(*point));
  }
  std::reverse(kept.begin(), kept.end());
  points = std::move(kept);
}

}  // namespace

void ReadHistory(Source& source, const Part& part, model::Recording& recording,
                 Complaints& complaints) {
  if (part.record_size < sizeof(wire::HistoryPoint)) return;
  const size_t room = (part.record_size - sizeof(wire::HistoryPoint)) / sizeof(wire::HistoryStack);
  const uint64_t unread = ForEachRecord(source, part, [&](uint64_t slot, const uint8_t* bytes) {
    const auto record = Load<wire::HistoryPoint>(bytes);
    if (record.check == 0) return;  // empty, or being written
    const uint8_t* const stacks = bytes + sizeof record;
    if (record.stack_count > room ||
        record.check !=
            wire::HistoryCheck(record, reinterpret_cast<const wire::HistoryStack*>(stacks), slot)) {
      complaints.Count("points of the history are torn and were left out");
      return;
    }
    recording.history.push_back(ToPoint(record, stacks, complaints));
    recording.last_event_ns = std::max(recording.last_event_ns, record.time_ns);
  });
  if (unread != 0) complaints.Count("points of the history are torn and were left out");
  PutInOrder(recording.history);
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// Moments of a process's life; the contract is in the header.
#include "analyzer/aggregator/lookback.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace heapecho::aggregator {
namespace {

using model::Estimate;

uint64_t Distance(uint64_t a, uint64_t b) { return a < b ? b - a : a - b; }

const model::HistoryPoint* NearestPoint(const model::Recording& recording, uint64_t at_ns) {
  const model::HistoryPoint* nearest = nullptr;
  for (const model::HistoryPoint& point : recording.history) {
    if (nearest == nullptr || Distance(point.time_ns, at_ns) < Distance(nearest->time_ns, at_ns))
      nearest = &point;
  }
  return nearest;
}

// Realtime less monotonic, where and when the recording says so last before that moment.
int64_t ClockOffset(const model::Recording& recording, uint64_t monotonic_ns) {
  uint64_t real = recording.begin_realtime_ns, monotonic = recording.begin_ns;
  for (const model::HistoryPoint& point : recording.history) {
    if (point.time_ns > monotonic_ns) break;
    real = point.realtime_ns;
    monotonic = point.time_ns;
  }
  return static_cast<int64_t>(real - monotonic);
}

bool ParseSpan(absl::string_view text, absl::Duration* duration) {
  constexpr std::pair<absl::string_view, int64_t> kUnits[] = {
      {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
  for (const auto& [unit, seconds] : kUnits) {
    absl::string_view number = text;
    double count = 0;
    if (absl::ConsumeSuffix(&number, unit) && absl::SimpleAtod(number, &count) && count >= 0 &&
        count < 1e9) {
      *duration = absl::Seconds(count * static_cast<double>(seconds));
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<MomentSpec> ParseMoment(absl::string_view text) {
  MomentSpec spec;
  if (ParseSpan(text, &spec.duration)) {
    spec.kind = MomentSpec::Kind::kBeforeEnd;
    return spec;
  }
  const std::string clean =
      absl::StrReplaceAll(std::string(absl::StripSuffix(text, "Z")), {{"T", " "}});
  std::string error;
  for (const char* format : {"%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M"})
    if (absl::ParseTime(format, clean, absl::UTCTimeZone(), &spec.time, &error)) return spec;
  for (const char* format : {"%H:%M:%E*S", "%H:%M"}) {
    if (!absl::ParseTime(format, clean, absl::UTCTimeZone(), &spec.time, &error)) continue;
    spec.kind = MomentSpec::Kind::kTimeOfDay;
    spec.duration = spec.time - absl::UnixEpoch();
    return spec;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      text, ": is no moment, such as 2026-11-21 05:07:27, 05:07, or 10m (before the end)"));
}

uint64_t LastSeenNs(const model::Recording& recording) {
  return std::max({recording.begin_ns, recording.last_event_ns, recording.process_end_ns});
}

absl::Time TimeOf(const model::Recording& recording, uint64_t monotonic_ns) {
  return absl::FromUnixNanos(ClockOffset(recording, monotonic_ns)) +
         absl::Nanoseconds(static_cast<int64_t>(monotonic_ns));
}

uint64_t MonotonicOf(const model::Recording& recording, const MomentSpec& spec) {
  const uint64_t end = LastSeenNs(recording);
  if (spec.kind == MomentSpec::Kind::kBeforeEnd) {
    const int64_t before = absl::ToInt64Nanoseconds(spec.duration);
    return before < 0 || static_cast<uint64_t>(before) > end ? 0
                                                             : end - static_cast<uint64_t>(before);
  }
  absl::Time time = spec.time;
  if (spec.kind == MomentSpec::Kind::kTimeOfDay) {
    const absl::Time last = TimeOf(recording, end);
    time =
        absl::UnixEpoch() + absl::Floor(last - absl::UnixEpoch(), absl::Hours(24)) + spec.duration;
    if (time > last) time -= absl::Hours(24);
  }
  // The offset that held at that time: the last of those whose own time is not after it.
  int64_t offset = ClockOffset(recording, recording.begin_ns);
  for (const model::HistoryPoint& point : recording.history) {
    if (absl::FromUnixNanos(static_cast<int64_t>(point.realtime_ns)) > time) break;
    offset = static_cast<int64_t>(point.realtime_ns - point.time_ns);
  }
  const absl::Duration monotonic = time - absl::FromUnixNanos(offset);
  return monotonic < absl::ZeroDuration()
             ? 0
             : static_cast<uint64_t>(absl::ToInt64Nanoseconds(monotonic));
}

LiveMoment LiveAt(const model::Recording& recording, uint64_t at_ns) {
  LiveMoment moment;
  const uint64_t end = LastSeenNs(recording);
  const bool is_over = recording.process_end != model::ProcessEnd::kRunning;
  if (at_ns < recording.process_start_ns || (is_over && at_ns > end)) return moment;
  const model::HistoryPoint* const point = NearestPoint(recording, at_ns);
  if (at_ns < recording.events_complete_from_ns && point != nullptr) {
    moment.source = LiveMoment::Source::kPoint;
    moment.time_ns = point->time_ns;
    moment.point = point;
    return moment;
  }
  // Without a point the oldest moment that the events reach is the nearest one.
  moment.source = LiveMoment::Source::kBlocks;
  moment.time_ns = std::min(std::max(at_ns, recording.events_complete_from_ns), end);
  for (const model::LiveBlock& block : recording.live_blocks)
    if (block.time_ns <= moment.time_ns) moment.blocks.push_back(block);
  for (const model::Event& event : recording.events) {
    if (event.kind != model::Event::Kind::kFree || event.time_ns <= moment.time_ns ||
        event.allocated_ns > moment.time_ns) {
      continue;
    }
    moment.blocks.push_back({.address = event.address,
                             .size = event.size,
                             .time_ns = event.allocated_ns,
                             .weight = event.weight,
                             .interval = event.interval,
                             .thread = event.thread,
                             .stack = event.stack,
                             .inherited = !recording.parent_id.IsZero() &&
                                          event.allocated_ns < recording.forked_at_ns});
  }
  return moment;
}

Growth GrowthSince(const model::Recording& recording, uint64_t from_ns) {
  Growth growth;
  growth.to_ns = LastSeenNs(recording);
  const model::HistoryPoint* point = NearestPoint(recording, from_ns);
  if (point != nullptr && from_ns < point->time_ns &&
      Distance(recording.process_start_ns, from_ns) < point->time_ns - from_ns) {
    point = nullptr;
  }
  growth.from_point = point != nullptr;
  growth.from_ns =
      std::min(point != nullptr ? point->time_ns : recording.process_start_ns, growth.to_ns);
  growth.stacks.resize(recording.stacks.size());
  std::vector<Estimate> stayed(recording.stacks.size());
  for (const model::LiveBlock& block : recording.live_blocks) {
    const Estimate estimate = block.ToEstimate();
    if (block.time_ns <= growth.from_ns) {
      stayed[block.stack.value] += estimate;
      continue;
    }
    StackGrowth& stack = growth.stacks[block.stack.value];
    const uint64_t age = growth.to_ns - std::min(block.time_ns, growth.to_ns);
    stack.came += estimate;
    stack.byte_seconds += estimate.bytes * static_cast<double>(age) * 1e-9;
    stack.oldest_ns = std::max(stack.oldest_ns, age);
    ++stack.samples;
  }
  if (point == nullptr) return growth;
  size_t next_held = 0;
  for (uint32_t id = 0; id < recording.stacks.size(); ++id) {
    while (next_held < point->stacks.size() && point->stacks[next_held].stack.value < id)
      ++next_held;
    const bool is_listed =
        next_held < point->stacks.size() && point->stacks[next_held].stack.value == id;
    const model::Stack& stack = recording.stacks[id];
    StackGrowth& change = growth.stacks[id];
    const Estimate& old = stayed[id];
    double held = is_listed ? point->stacks[next_held].bytes : 0;
    double variance = is_listed ? point->stacks[next_held].bytes_variance : 0;
    // A stack that was not there yet held nothing; of any other it is not known.
    if (!is_listed && stack.first_seen_ns <= point->time_ns) {
      held = std::min(old.bytes + change.came.bytes, std::max(point->unlisted_most, old.bytes));
      variance = old.bytes_variance;
    }
    const double mean = stack.allocated.objects > 0
                            ? stack.allocated.bytes / stack.allocated.objects
                        : old.objects > 0 ? old.bytes / old.objects
                                          : 0;
    // Where the live set was thinned since, what stayed has been weighted anew, and may be more.
    Estimate& into = held >= old.bytes ? change.went : change.came;
    const double bytes = std::abs(held - old.bytes);
    const double bytes_variance = std::abs(variance - old.bytes_variance);
    into += {.bytes = bytes,
             .objects = mean > 0 ? bytes / mean : 0,
             .bytes_variance = bytes_variance,
             .objects_variance = mean > 0 ? bytes_variance / (mean * mean) : 0};
  }
  return growth;
}

uint64_t LastPlateauNs(const model::Recording& recording) {
  const std::vector<model::HistoryPoint>& history = recording.history;
  if (history.size() < 3) return 0;
  // The median over time: a point counts for as long as it was the last one.
  std::vector<std::pair<double, uint64_t>> lives;
  uint64_t whole = 0;
  for (size_t i = 0; i + 1 < history.size(); ++i) {
    const uint64_t span = history[i + 1].time_ns - history[i].time_ns;
    lives.emplace_back(history[i].live.bytes, span);
    whole += span;
  }
  std::sort(lives.begin(), lives.end());
  uint64_t passed = 0;
  double median = 0;
  for (const auto& [bytes, span] : lives) {
    median = bytes;
    passed += span;
    if (passed >= whole / 2) break;
  }
  const double rise = recording.live.bytes - median;
  if (!(rise > median / 10)) return 0;
  uint64_t from = 0;
  for (const model::HistoryPoint& point : history)
    if (point.live.bytes <= median + rise / 10) from = point.time_ns;
  return from;
}

uint64_t HalfLifeNs(const model::Recording& recording) {
  const uint64_t end = LastSeenNs(recording);
  const uint64_t start = std::min(recording.process_start_ns, end);
  return start + (end - start) / 2;
}

}  // namespace heapecho::aggregator

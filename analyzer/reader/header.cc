// SPDX-License-Identifier: Apache-2.0
// Page 0 to the model: who wrote the recording, how it ended, the process's totals.
#include <algorithm>
#include <cmath>

#include "analyzer/reader/parts.h"

namespace heapecho::reader {
namespace {

model::RecordingId ToId(const uint8_t (&bytes)[16]) {
  model::RecordingId id;
  std::copy(std::begin(bytes), std::end(bytes), id.bytes.begin());
  return id;
}

// Totals are added to and taken from without a lock, so one may be below zero for a moment, or for
// ever if the process was killed in it.
double FromFixedPoint(uint64_t value, Complaints& complaints) {
  if (static_cast<int64_t>(value) < 0) {
    complaints.Count("totals are below zero; they count as zero");
    return 0;
  }
  return static_cast<double>(value) / static_cast<double>(wire::kFixedPointOne);
}

double ToVariance(double value, Complaints& complaints) {
  // Rounding may leave a little less than nothing when the last block is taken out again.
  constexpr double kRounding = -1e6;
  constexpr double kMost = 1e60;  // far beyond any address space; sums of such still are numbers
  if (value >= 0 && value <= kMost) return value;
  if (!(value >= kRounding && value < 0))
    complaints.Count("variances are no numbers; they count as zero");
  return 0;
}

model::CgroupMemory ToCgroupMemory(const wire::FileHeader& header) {
  // No machine has more: sums of such amounts stay in range.
  const auto amount = [](uint64_t bytes) { return std::min(bytes, uint64_t{1} << 56); };
  return {.time_ns = header.cgroup_stat_ns,
          .peak = amount(header.cgroup_peak),
          .anon = amount(header.cgroup_anon),
          .file = amount(header.cgroup_file),
          .shmem = amount(header.cgroup_shmem),
          .inactive_file = amount(header.cgroup_inactive_file),
          .kernel = amount(header.cgroup_kernel),
          .slab = amount(header.cgroup_slab),
          .page_tables = amount(header.cgroup_page_tables),
          .kernel_stack = amount(header.cgroup_kernel_stack),
          .sock = amount(header.cgroup_sock),
          .limit_hits = header.cgroup_limit_hits};
}

}  // namespace

model::Estimate ToEstimate(const WireTotals& totals, Complaints& complaints) {
  return {.bytes = FromFixedPoint(totals.bytes, complaints),
          .objects = FromFixedPoint(totals.objects, complaints),
          .bytes_variance = ToVariance(totals.bytes_variance, complaints),
          .objects_variance = ToVariance(totals.objects_variance, complaints)};
}

void ReadHeader(const wire::FileHeader& header, model::Recording& recording,
                Complaints& complaints) {
  recording.id = ToId(header.id);
  recording.parent_id = ToId(header.parent_id);
  recording.boot_id = ToId(header.boot_id);
  recording.pid = header.pid;
  recording.ppid = header.ppid;
  recording.uid = header.uid;
  recording.pid_namespace = header.pid_namespace;
  recording.start_ticks = header.start_ticks;
  recording.process_start_ns = header.process_start_ns;
  recording.begin_ns = header.begin_ns;
  recording.begin_realtime_ns = header.begin_realtime_ns;
  recording.begin_boottime_ns = header.begin_boottime_ns;
  recording.forked_at_ns = header.forked_at_ns;
  recording.last_event_ns = header.last_event_ns;
  recording.process_end_ns = header.process_end_ns;
  recording.recording_end_ns = header.recording_end_ns;
  recording.peak_ns = header.peak_ns;
  recording.interval_configured = header.interval_configured;
  recording.interval_now = header.interval_now;
  recording.budget = header.budget;
  recording.samples = header.samples;
  recording.threads_seen = header.threads_seen;
  recording.threads_at_most = header.threads_at_most;
  recording.own_ns = header.own_ns;
  recording.cpu_ns = header.cpu_ns;
  recording.python_arena_bytes = header.python_arena_bytes;
  switch (static_cast<wire::Keeping>(header.keeping)) {
    case wire::Keeping::kMapped:
      break;
    case wire::Keeping::kAsked:
      recording.keeping = model::Keeping::kAsked;
      break;
    default:  // whatever else it is, not every store is the file's
      recording.keeping = model::Keeping::kWritten;
  }
  if (recording.keeping != model::Keeping::kMapped) {
    recording.tables_ns = header.last_event_ns;
    if (header.events_complete_ns != 0) recording.events_complete_to_ns = header.events_complete_ns;
  }
  recording.write_pause_ns = header.write_pause_ns;
  recording.write_longest_ns = header.write_longest_ns;
  recording.exit_status = header.exit_status;
  recording.looked_ns = header.looked_ns;
  recording.peak_rss = header.peak_rss;
  recording.cgroup_current = header.cgroup_current;
  recording.cgroup_limit = header.cgroup_limit;
  recording.cgroup = ToCgroupMemory(header);
  recording.allocator_ns = header.allocator_ns;
  recording.allocator_took_ns = header.allocator_took_ns;
  recording.allocator_asked = header.allocator_asked;
  recording.look_longest_ns = header.look_longest_ns;
  recording.recording_end_errno = header.recording_end_errno;

  switch (static_cast<wire::ProcessEnd>(header.process_end)) {
    case wire::ProcessEnd::kRunning:
      break;
    case wire::ProcessEnd::kExited:
      recording.process_end = model::ProcessEnd::kExited;
      break;
    case wire::ProcessEnd::kExec:
      recording.process_end = model::ProcessEnd::kExec;
      break;
    default:
      complaints.Say("the header names an unknown end of the process");
  }
  switch (static_cast<wire::RecordingEnd>(header.recording_end)) {
    case wire::RecordingEnd::kNone:
      break;
    case wire::RecordingEnd::kDiskFull:
      recording.recording_end = model::RecordingEnd::kDiskFull;
      break;
    case wire::RecordingEnd::kRemap:
      recording.recording_end = model::RecordingEnd::kRemap;
      break;
    case wire::RecordingEnd::kIoError:
      recording.recording_end = model::RecordingEnd::kIoError;
      break;
    default:
      recording.recording_end = model::RecordingEnd::kUnknown;
  }

  recording.allocated = ToEstimate({header.allocated_bytes, header.allocated_objects,
                                    header.allocated_variance, header.allocated_object_variance},
                                   complaints);
  recording.freed = ToEstimate({header.freed_bytes, header.freed_objects, 0, 0}, complaints);
  recording.live = ToEstimate(
      {header.live_bytes, header.live_objects, header.live_variance, header.live_object_variance},
      complaints);
  recording.peak = ToEstimate(
      {header.peak_bytes, header.peak_objects, header.peak_variance, header.peak_object_variance},
      complaints);
}

}  // namespace heapecho::reader

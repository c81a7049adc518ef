// SPDX-License-Identifier: Apache-2.0
// The ends of other processes, as far as the recorded one knew.
#include <sys/wait.h>

#include <algorithm>
#include <vector>

#include "analyzer/reader/parts.h"

namespace heapecho::reader {
namespace {

// The section of this library's own recordings has far fewer.
constexpr uint64_t kMostRecords = 1 << 16;

model::ChildEnd ToEnd(const wire::ChildRecord& record) {
  model::ChildEnd end = {.time_ns = record.time_ns,
                         .start_ticks = record.start_ticks,
                         .pid = static_cast<uint32_t>(record.pid),
                         .max_rss = record.max_rss,
                         .cgroup_current = record.cgroup_current,
                         .cgroup_limit = record.cgroup_limit};
  if (WIFSIGNALED(record.status)) {
    end.signal = WTERMSIG(record.status);
  } else {
    end.exit_status = WEXITSTATUS(record.status);
  }
  if (record.flags & wire::kOomKillsBeforeKnown) end.oom_kills_before = record.oom_kills_before;
  if (record.flags & wire::kOomKillsAfterKnown) end.oom_kills_after = record.oom_kills_after;
  return end;
}

}  // namespace

void ReadChildren(Source& source, const Part& part, model::Recording& recording,
                  Complaints& complaints) {
  Part bounded = part;
  bounded.records = std::min(bounded.records, kMostRecords);
  std::vector<wire::ChildRecord> records;
  ForEachRecord(source, bounded, [&](uint64_t slot, const uint8_t* bytes) {
    const auto record = Load<wire::ChildRecord>(bytes);
    if (record.check == 0) return;  // empty, or being written
    if (record.check == wire::CheckOf(record, slot)) {
      records.push_back(record);
    } else {
      complaints.Count("records of how others ended are damaged and were left out");
    }
  });
  std::stable_sort(records.begin(), records.end(),
                   [](const wire::ChildRecord& a, const wire::ChildRecord& b) {
                     return a.sequence < b.sequence;
                   });
  for (const wire::ChildRecord& record : records) {
    // The process may have noted it after its last sample.
    recording.last_event_ns = std::max(recording.last_event_ns, record.time_ns);
    if (record.kind == static_cast<uint32_t>(wire::ChildKind::kReaped)) {
      if (record.pid > 0 && (WIFEXITED(record.status) || WIFSIGNALED(record.status)))
        recording.child_ends.push_back(ToEnd(record));
    } else if (record.kind == static_cast<uint32_t>(wire::ChildKind::kSignalled)) {
      recording.sent_signals.push_back({.time_ns = record.time_ns,
                                        .start_ticks = record.start_ticks,
                                        .pid = record.pid,
                                        .signal = record.status,
                                        .failed = (record.flags & wire::kSignalFailed) != 0});
    }
  }
}

}  // namespace heapecho::reader

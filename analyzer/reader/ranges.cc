// SPDX-License-Identifier: Apache-2.0
// The mapped ranges of the address space, and the live blocks that some of them are.
#include <algorithm>
#include <vector>

#include "analyzer/reader/parts.h"
#include "analyzer/reader/second_look.h"

namespace heapecho::reader {
namespace {

// The kernel allows no process more by default; this library's own recordings have far fewer.
constexpr uint64_t kMostRanges = 1 << 17;
constexpr double kWeightOne = static_cast<double>(wire::kFixedPointOne);

model::Range::Kind ToKind(uint8_t kind) {
  using Kind = model::Range::Kind;
  switch (static_cast<wire::RangeKind>(kind)) {
    case wire::RangeKind::kAnonymous:
      return Kind::kAnonymous;
    case wire::RangeKind::kShared:
      return Kind::kShared;
    case wire::RangeKind::kFile:
      return Kind::kFile;
    case wire::RangeKind::kStack:
      return Kind::kStack;
    case wire::RangeKind::kBrkHeap:
      return Kind::kBrkHeap;
    case wire::RangeKind::kOwn:
      return Kind::kOwn;
    case wire::RangeKind::kKernel:
      return Kind::kKernel;
  }
  return Kind::kOther;
}

bool IsSound(const wire::RangeRecord& record) {
  return record.length != 0 && record.start + record.length > record.start &&
         record.counted <= record.length &&
         (record.weight == 0 || (record.weight >= wire::kFixedPointOne && record.interval != 0));
}

model::Range ToRange(const wire::RangeRecord& record) {
  model::Range range = {.start = record.start,
                        .length = record.length,
                        .time_ns = record.time_ns,
                        .kind = ToKind(record.kind),
                        .seen = (record.flags & wire::kRangeSeen) != 0,
                        .reserve = (record.flags & wire::kRangeReserve) != 0,
                        .measured = (record.flags & wire::kRangeMeasured) != 0,
                        .weight = static_cast<double>(record.weight) / kWeightOne,
                        .counted = record.counted,
                        .stack = {record.stack},
                        .interval = std::max(record.interval, 1u),
                        .thread = record.thread};
  if (record.domain <= static_cast<uint8_t>(wire::Domain::kMmap))
    range.domain = static_cast<model::Domain>(record.domain);
  return range;
}

}  // namespace

void ReadRanges(Source& source, const Part& part, model::Recording& recording,
                Complaints& complaints) {
  Part bounded = part;
  bounded.records = std::min(bounded.records, kMostRanges);
  SecondLook second_look(source);
  std::vector<model::Range> ranges;
  ForEachRecord(source, bounded, [&](uint64_t slot, const uint8_t* bytes) {
    auto record = Load<wire::RangeRecord>(bytes);
    if (record.check == 0) return;  // empty, or being written
    if ((record.check != wire::CheckOf(record, slot) &&
         !second_look.Read(part.offset + slot * sizeof record, slot, &record)) ||
        !IsSound(record)) {
      complaints.Count("records of mapped ranges are damaged and were left out");
      return;
    }
    ranges.push_back(ToRange(record));
  });
  std::stable_sort(ranges.begin(), ranges.end(),
                   [](const model::Range& a, const model::Range& b) { return a.start < b.start; });
  const bool forked = !recording.parent_id.IsZero();
  uint64_t end = 0;
  for (const model::Range& range : ranges) {
    if (range.start < end) {  // of two moments: they were read while the process changed them
      complaints.Count("mapped ranges lie within others and were left out");
      continue;
    }
    end = range.start + range.length;
    recording.ranges.push_back(range);
    recording.last_event_ns = std::max(recording.last_event_ns, range.time_ns);
    if (range.weight == 0 || range.counted == 0) continue;
    recording.live_blocks.push_back(
        {.address = range.start,
         .size = range.counted,
         .time_ns = range.time_ns,
         .weight = range.weight,
         .interval = range.interval,
         .thread = range.thread,
         .stack = range.stack,
         .inherited = forked && range.time_ns < recording.forked_at_ns});
  }
}

}  // namespace heapecho::reader

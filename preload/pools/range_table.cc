// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_table.h"

#include <string.h>

#include "preload/base/memory.h"

namespace heapecho::pools {
namespace {

// `part` of `whole` of a value, rounded down.
uint64_t Share(uint64_t value, uint64_t part, uint64_t whole) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(value) * part / whole);
}

bool SameKind(const Range& a, const Range& b) {
  return a.kind == b.kind && a.domain == b.domain && a.flags == b.flags;
}

// What a piece has of its range's objects: at least the smallest unit, while that leaves one for
// others.
uint32_t ShareOfObjects(uint32_t objects, uint64_t part, uint64_t whole) {
  const auto share = static_cast<uint32_t>(Share(objects, part, whole));
  return share == 0 && objects > 2 && part != 0 ? 1 : share;
}

bool WasSeen(const Range& range) { return (range.flags & kRangeSeen) != 0; }
bool IsMeasured(const Range& range) { return (range.flags & kRangeMeasured) != 0; }

// With neither it keeps its stack's totals from nothing, which may be folded: it must not come back
// to them.
void LeaveIfNothing(Range* range) {
  if (range->counted == 0 && range->objects == 0) range->weight = range->stack = 0;
}

}  // namespace

bool RangeTable::Initialize(uint32_t capacity, const Sink& sink) {
  if (capacity > kMostRanges) capacity = kMostRanges;
  const size_t slots = base::RoundUp(capacity * sizeof(Range), base::kPageSize);
  const size_t indexes = capacity * sizeof(uint16_t);
  auto* const memory = static_cast<char*>(base::MapPrivate(slots + 2 * indexes, "heapecho ranges"));
  if (memory == nullptr) return false;
  slots_ = reinterpret_cast<Range*>(memory);
  order_ = reinterpret_cast<uint16_t*>(memory + slots);
  free_ = order_ + capacity;
  capacity_ = capacity;
  sink_ = sink;
  return true;
}

uint32_t RangeTable::Find(uintptr_t address) const {
  uint32_t low = 0, high = size_;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (At(middle).end() <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void RangeTable::Written(uint32_t position) {
  if (sink_.written != nullptr) sink_.written(order_[position]);
}

bool RangeTable::InsertAt(uint32_t position, const Range& range) {
  if (size_ == capacity_) return false;
  const uint32_t slot = free_count_ > 0 ? free_[--free_count_] : fresh_++;
  memmove(order_ + position + 1, order_ + position, (size_ - position) * sizeof *order_);
  order_[position] = static_cast<uint16_t>(slot);
  ++size_;
  slots_[slot] = range;
  Written(position);
  return true;
}

void RangeTable::EraseAt(uint32_t position) {
  const uint16_t slot = order_[position];
  memmove(order_ + position, order_ + position + 1, (size_ - position - 1) * sizeof *order_);
  --size_;
  slots_[slot].length = 0;
  free_[free_count_++] = slot;
  if (sink_.written != nullptr) sink_.written(slot);
}

void RangeTable::Take(const Range& range, uint64_t bytes, uint32_t objects) {
  if (range.weight != 0 && (bytes != 0 || objects != 0)) sink_.taken(range, bytes, objects);
}

bool RangeTable::Remove(uintptr_t start, uintptr_t end) {
  if (start >= end) return true;
  bool whole = true;
  uint32_t position = Find(start);
  while (position < size_ && At(position).start < end) {
    Range& range = At(position);
    const Range before = range;
    if (before.start >= start && before.end() <= end) {
      Take(before, before.counted, before.objects);
      EraseAt(position);
      continue;
    }
    const uintptr_t from = before.start > start ? before.start : start;
    const uintptr_t to = before.end() < end ? before.end() : end;
    // What of the totals each part has. One that is measured is not known page by page: a share of
    // what it has.
    const auto counted = [&before](uint64_t part) {
      return before.counted == before.length ? part : Share(before.counted, part, before.length);
    };
    Range left = before, right = before;
    left.length = from - before.start;
    left.counted = counted(left.length);
    left.objects = ShareOfObjects(before.objects, left.length, before.length);
    right.start = to;
    right.length = before.end() - to;
    right.counted = counted(right.length);
    right.objects = ShareOfObjects(before.objects, right.length, before.length);
    LeaveIfNothing(&left);
    LeaveIfNothing(&right);
    uint64_t bytes = before.counted;
    uint32_t objects = before.objects;
    const auto keep = [&bytes, &objects](const Range& part) {
      bytes -= part.counted;
      objects -= part.objects;
    };
    if (left.length != 0) {
      range = left;
      keep(left);
      Written(position++);
      if (right.length != 0) {
        if (InsertAt(position, right)) {
          keep(right);
        } else {
          whole = false;
        }
      }
    } else {
      range = right;
      keep(right);
      Written(position);
    }
    Take(before, bytes, objects);
    if (to == end) break;
  }
  return whole;
}

bool RangeTable::JoinsLeft(uint32_t position, const Range& range) const {
  if (position == 0 || range.weight != 0) return false;
  const Range& left = At(position - 1);
  return left.end() == range.start && left.weight == 0 && SameKind(left, range) &&
         left.caller == range.caller;
}

bool RangeTable::Insert(const Range& given) {
  Range range = given;
  range.length = base::RoundUp(range.length, base::kPageSize);
  bool whole = Remove(range.start, range.end());
  uint32_t position = Find(range.start);
  if (JoinsLeft(position, range)) {
    At(position - 1).length += range.length;
    Written(position - 1);
    return whole;
  }
  if (position < size_ && At(position).start == range.end()) {  // the mirror image
    Range& right = At(position);
    if (right.weight == 0 && range.weight == 0 && SameKind(right, range) &&
        right.caller == range.caller) {
      right.start = range.start;
      right.length += range.length;
      Written(position);
      return whole;
    }
  }
  if (InsertAt(position, range)) return whole;
  Take(range, range.counted, range.objects);
  return false;
}

bool RangeTable::Depart(uintptr_t start, uintptr_t end, Departed* was) {
  *was = {};
  const uint32_t position = Find(start);
  if (position < size_ && At(position).start <= start && WasSeen(At(position))) {
    const Range& range = At(position);
    *was = {
        .counted = range.counted, .kind = range.kind, .domain = range.domain, .flags = range.flags};
  }
  return Remove(start, end);
}

bool RangeTable::Arrive(const Departed& was, const Range& given) {
  Range range = given;
  if ((was.flags & kRangeSeen) != 0) {
    range.kind = was.kind;
    range.domain = was.domain;
    range.flags = was.flags;
    if ((was.flags & kRangeReserve) != 0) {
      TakeOut(&range);
    } else if ((was.flags & kRangeMeasured) != 0 && range.weight != 0) {
      const uint64_t kept = was.counted < range.counted ? was.counted : range.counted;
      Take(range, range.counted - kept, 0);
      range.counted = kept;
    }
  }
  return Insert(range);
}

// Out of the totals, not out of the table.
void RangeTable::TakeOut(Range* range) {
  Take(*range, range->counted, range->objects);
  range->weight = range->objects = range->stack = 0;
  range->counted = 0;
}

void RangeTable::Adopt(uintptr_t start, uintptr_t end, uint8_t domain) {
  for (uint32_t position = 0; position < size_; ++position) {
    Range& range = At(position);
    if (range.caller < start || range.caller >= end || range.kind != RangeKind::kAnonymous)
      continue;
    TakeOut(&range);
    range.domain = domain;
    range.flags = static_cast<uint16_t>((range.flags | kRangeReserve) & ~kRangeMeasured);
    Written(position);
  }
}

void RangeTable::GiveBack(uintptr_t start, uintptr_t end) {
  for (uint32_t position = Find(start); position < size_ && At(position).start < end; ++position) {
    Range& range = At(position);
    if (range.weight == 0) continue;
    const uintptr_t from = range.start > start ? range.start : start;
    const uintptr_t to = range.end() < end ? range.end() : end;
    uint64_t bytes = to - from;
    if (bytes > range.counted) bytes = range.counted;
    Take(range, bytes, 0);
    range.counted -= bytes;
    LeaveIfNothing(&range);
    range.flags |= kRangeMeasured;
    Written(position);
  }
}

uint64_t RangeTable::Measure(uintptr_t start, uint64_t length, uint64_t counted, uint64_t now_ns,
                             Range* out) {
  const uint32_t position = Find(start);
  if (position == size_ || At(position).start != start || At(position).length != length) return 0;
  Range& range = At(position);
  if (range.weight == 0 || !IsMeasured(range) || range.counted == counted) return 0;
  const uint64_t more = counted > range.counted ? counted - range.counted : 0;
  if (more == 0) Take(range, range.counted - counted, 0);
  range.counted = counted;
  LeaveIfNothing(&range);
  if (more != 0) range.time_ns = now_ns;  // as old as what came last
  Written(position);
  *out = range;
  return more;
}

void RangeTable::Sweep(const Range& line) {
  const uintptr_t end = line.end();
  Remove(swept_, line.start);
  swept_ = end;
  // What was seen there before this library or the kernel came has gone unseen.
  if (line.kind == RangeKind::kOwn || line.kind == RangeKind::kKernel) {
    Insert(line);
    return;
  }
  uintptr_t at = line.start;
  while (at < end) {
    const uint32_t position = Find(at);
    const bool found = position < size_ && At(position).start < end;
    if (found && At(position).start <= at) {
      const Range& range = At(position);
      if (WasSeen(range) || SameKind(range, line)) {
        at = range.end();
        continue;
      }
    }
    // A hole, or what was not seen either and is something else now: up to what was seen, or to the
    // line's end.
    Range fresh = line;
    fresh.start = at;
    uint32_t behind = position;
    while (behind < size_ && At(behind).start < end && !WasSeen(At(behind))) ++behind;
    const uintptr_t stop = behind < size_ && At(behind).start < end ? At(behind).start : end;
    fresh.length = stop - at;
    Insert(fresh);
    at = stop;
  }
}

void RangeTable::EndSweep() { Remove(swept_, UINTPTR_MAX); }

bool RangeTable::Next(uintptr_t address, Range* range) const {
  const uint32_t position = Find(address);
  if (position == size_) return false;
  *range = At(position);
  return true;
}

bool RangeTable::Look(uint32_t slot, Range* range) const {
  if (slot >= fresh_ || slots_[slot].length == 0) return false;
  *range = slots_[slot];
  return true;
}

void RangeTable::Clear() {
  for (uint32_t slot = 0; slot < fresh_; ++slot) slots_[slot].length = 0;
  free_count_ = fresh_ = size_ = 0;
}

}  // namespace heapecho::pools

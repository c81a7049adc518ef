// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_changes.h"

namespace heapecho::pools {
namespace {

using Kind = RangeChange::Kind;

// Pages that `range` has were another's before, whose call to give them away has not come out yet.
bool TakeAwayBefore(const Range& range, uint64_t ticket, RangeLog* log, RangeTable* table) {
  bool whole = true;
  while (RangeLog::Call* const call = log->Overtaken(range.start, range.end(), ticket)) {
    whole = table->Depart(call->start, call->end, &call->was) && whole;
  }
  return whole;
}

bool Make(const RangeLog::Taken& taken, RangeLog* log, RangeTable* table) {
  const RangeChange& change = taken.change;
  switch (change.kind) {
    case Kind::kNothing:
      return true;
    case Kind::kMap: {
      const bool cleared = TakeAwayBefore(change.range, taken.ticket, log, table);
      return table->Insert(change.range) && cleared;
    }
    case Kind::kUnmap:
      return taken.call.overtaken || table->Remove(change.start, change.end);
    case Kind::kMove: {
      Departed was = taken.call.was;
      const bool left = taken.call.overtaken || table->Depart(change.start, change.end, &was);
      const bool cleared = TakeAwayBefore(change.range, taken.ticket, log, table);
      return table->Arrive(was, change.range) && left && cleared;
    }
    case Kind::kAdopt:
      table->Adopt(change.start, change.end, change.range.domain);
      return true;
    case Kind::kGiveBack:
      table->GiveBack(change.start, change.end);
      return true;
  }
  return true;
}

}  // namespace

uint32_t MakeChanges(RangeLog* log, RangeTable* table) {
  uint32_t dropped = 0;
  RangeLog::Taken taken;
  while (log->Take(&taken)) dropped += Make(taken, log, table) ? 0 : 1;
  return dropped;
}

}  // namespace heapecho::pools

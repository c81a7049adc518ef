// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/range_events.h"

#include <atomic>

#include "preload/hook/capture.h"
#include "preload/hook/guard.h"
#include "preload/hook/mirror.h"
#include "preload/hook/observe.h"
#include "preload/hook/own_time.h"
#include "preload/hook/state.h"
#include "preload/hook/threads.h"
#include "preload/sampler/poisson.h"

namespace heapecho::hook {
namespace {

using pools::Range;

constexpr uint64_t kExactBytes = 64 << 10;
constexpr uint32_t kMostExactPerSecond = 500;

constinit std::atomic<uint64_t> g_second = 0;  // second << 32 | exact ones in it

// Whether there is room for one more in this second.
bool TakeExact(uint64_t now) {
  const uint64_t second = now / kSecond << 32;
  uint64_t word = g_second.load(kRelaxed);
  uint64_t next;
  do {
    next = (word & ~uint64_t{UINT32_MAX}) == second ? word + 1 : second + 1;
    if (static_cast<uint32_t>(next) > kMostExactPerSecond) return false;
  } while (!g_second.compare_exchange_weak(word, next, kRelaxed));
  return true;
}

double WeightOf(const Range& range) {
  return static_cast<double>(range.weight) / static_cast<double>(pools::kWeightOne);
}

// Of a part of a range. In whole units per byte, so that parts add up to the whole; the variance
// likewise.
stack::Worth WorthOf(const Range& range, uint64_t bytes, uint32_t objects) {
  const double weight = WeightOf(range);
  const double part = static_cast<double>(bytes) * static_cast<double>(range.size);
  return {.bytes = bytes * range.weight,
          .objects = objects,
          .bytes_variance = part * weight * (weight - 1),
          .objects_variance =
              static_cast<double>(objects) / static_cast<double>(pools::kWeightOne) * (weight - 1)};
}

wire::EventRecord EventOf(const Range& range, uint64_t bytes, uint64_t now) {
  return {.time_ns = now,
          .address = range.start,
          .size = bytes,
          .allocated_ns = 0,
          .weight = WeightOf(range),
          .stack = range.stack,
          .thread = range.thread,
          .interval = range.interval,
          .kind = static_cast<uint8_t>(wire::EventKind::kAllocate),
          .domain = static_cast<uint8_t>(wire::Domain::kMmap),
          .reserved = 0,
          .check = 0};
}

static_assert(pools::kWeightOne == wire::kFixedPointOne);

}  // namespace

void SampleMapping(Guard& guard, Range* range) {
  ThreadState& thread = t_state;
  SeedIfNew(thread, guard);
  range->thread = thread.thread_id;
  uint64_t interval = sampler::kEveryAllocation;
  if (range->length < kExactBytes || !TakeExact(range->time_ns)) {
    interval = g_state.interval.load(kRelaxed);
    if (sampler::DrawGap(thread.random, interval) >= range->length) return;
  }
  const OwnTime own_time(thread);
  SawThread(thread, range->time_ns);
  Capture capture(thread);
  if (!capture) return;
  range->size = range->length;
  range->interval = static_cast<uint32_t>(interval);
  // To whole units, up or down by chance, so that the mean is kept.
  const double weight = sampler::SampleWeight(range->size, interval) * pools::kWeightOne;
  range->weight = static_cast<uint32_t>(weight);
  const double rest = weight - range->weight;
  const double chance =
      static_cast<double>(sampler::NextRandom(thread.random) >> 11) / (uint64_t{1} << 53);
  if (chance < rest) ++range->weight;
  range->objects = range->weight;
  range->counted = (range->flags & pools::kRangeMeasured) != 0 ? 0 : range->length;
  {
    const stack::Interner::Use use(g_state.interner);
    range->stack = capture.Intern(use, wire::Domain::kMmap, range->time_ns);
    stack::AddAllocation(g_state.totals, g_state.interner.Totals(range->stack),
                         WorthOf(*range, range->counted, range->objects), range->time_ns,
                         SecondOfLife(range->time_ns));
    StackWritten(range->stack);
    if (range->counted != 0) {
      g_state.recording.AppendEvent(thread.ordinal,
                                    EventOf(*range, range->counted, range->time_ns));
    }
    ReleaseMirroredCode();
  }
  ControlInterval(range->time_ns);
  MirrorHeader(range->time_ns);
}

void MappingTaken(const Range& range, uint64_t bytes, uint32_t objects) {
  const uint64_t now = Now();
  const stack::Interner::Use use(g_state.interner);
  stack::AddFree(g_state.totals, g_state.interner.Totals(range.stack),
                 WorthOf(range, bytes, objects), IsInherited(range.time_ns), SecondOfLife(now));
  StackWritten(range.stack);
  if (bytes != 0) {
    wire::EventRecord event = EventOf(range, bytes, now);
    event.kind = static_cast<uint8_t>(wire::EventKind::kFree);
    event.allocated_ns = range.time_ns;
    g_state.recording.AppendEvent(t_state.ordinal, event);
  }
  MirrorHeader(now);
}

void MappingGrew(const Range& range, uint64_t bytes) {
  const stack::Interner::Use use(g_state.interner);
  stack::AddAllocation(g_state.totals, g_state.interner.Totals(range.stack),
                       WorthOf(range, bytes, 0), range.time_ns, SecondOfLife(range.time_ns));
  StackWritten(range.stack);
  g_state.recording.AppendEvent(t_state.ordinal, EventOf(range, bytes, range.time_ns));
}

void ForgetMappings() {
  for (uint32_t stack = 0; stack < g_state.interner.used(); ++stack) {
    stack::StackTotals& totals = g_state.interner.Totals(stack);
    if (totals.domain.load(kRelaxed) == static_cast<uint8_t>(wire::Domain::kMmap)) {
      stack::ForgetLive(g_state.totals, totals);
    }
  }
}

}  // namespace heapecho::hook

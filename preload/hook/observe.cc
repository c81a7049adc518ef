// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/observe.h"

#include <errno.h>
#include <unistd.h>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/hook/capture.h"
#include "preload/hook/guard.h"
#include "preload/hook/lifetime.h"
#include "preload/hook/memory_look.h"
#include "preload/hook/mirror.h"
#include "preload/hook/own_time.h"
#include "preload/hook/state.h"
#include "preload/hook/threads.h"
#include "preload/sampler/interval.h"
#include "preload/sampler/poisson.h"

namespace heapecho::hook {
namespace {

// The automatic interval is decided about anew after so long, or as soon as samples have taken so much: what a program does
// when it starts costs most, and at an interval that nobody has measured yet.
constexpr uint64_t kControlNs = 100 * kMillisecond;
constexpr uint64_t kControlOwnNs = kMillisecond;

// Seeds the thread for this process. Its gap is to be drawn anew.
void SeedThread(ThreadState& thread) {
  recording::FillRandom(&thread.random, sizeof thread.random);
  thread.thread_id = static_cast<uint32_t>(base::Syscall(SYS_gettid));
  thread.ordinal = g_state.threads.fetch_add(1, kRelaxed);
  thread.bounds = {};
  thread.record = 0;
  thread.epoch = g_state.epoch.load(kRelaxed);
  LookAtThreads();
}

uint64_t NextGap(ThreadState& thread) {
  thread.interval = static_cast<uint32_t>(g_state.interval.load(kRelaxed));
  return sampler::DrawGap(thread.random, thread.interval);
}

// What a sampled small object stands for in pymalloc's arenas; nothing where it is none.
void AddSmallObject(wire::Domain domain, uint64_t size, double weight, int sign) {
  if (domain != wire::Domain::kPython || size > pools::kLargestSmallObject) return;
  const uint64_t bytes =
      stack::WorthOf(base::RoundUp(size, pools::kSmallObjectUnit), weight).bytes;
  g_state.python_small.fetch_add(sign > 0 ? bytes : -bytes, kRelaxed);
}

wire::Domain DomainOf(uint32_t stack) {
  return static_cast<wire::Domain>(g_state.interner.Totals(stack).domain.load(kRelaxed));
}

// --- Thinning and the automatic interval.

bool StaysWhenDoubled(const live::Block& block, void*) {
  return sampler::StaysWhenDoubled(t_state.random, block.size, block.interval);
}

void Thinned(uint32_t slot, const live::Block& before, uint32_t interval, void*) {
  const stack::Worth was =
      stack::WorthOf(before.size, sampler::SampleWeight(before.size, before.interval));
  stack::Worth is = {};
  if (interval != 0) is = stack::WorthOf(before.size, sampler::SampleWeight(before.size, interval));
  MirrorLiveSlot(slot);
  stack::AddThinning(g_state.totals, g_state.interner.Totals(before.stack), was, is);
  const wire::Domain domain = DomainOf(before.stack);
  AddSmallObject(domain, before.size, sampler::SampleWeight(before.size, before.interval), -1);
  if (interval != 0) {
    AddSmallObject(domain, before.size, sampler::SampleWeight(before.size, interval), +1);
  }
  StackWritten(before.stack);
}

// The live set is nearly full, or the stacks that it needs have no room for others.
void ThinIfCrowded() {
  const uint32_t limit = g_state.live.capacity() / 4 * 3;
  bool stacks_crowded = g_state.interner.TakeCrowded();
  if ((g_state.live.size() < limit && !stacks_crowded) || !g_state.live.TryStartThinning()) return;
  while (g_state.live.size() >= limit || stacks_crowded) {
    stacks_crowded = false;
    const uint64_t interval = g_state.interval.load(kRelaxed) * 2;
    if (interval > sampler::kLargestInterval) break;
    // Raised first: what other threads sample meanwhile is thinned before it comes in.
    g_state.smallest_interval.store(interval, kRelaxed);
    g_state.interval.store(interval, kRelaxed);
    g_state.live.Thin(static_cast<uint32_t>(interval), StaysWhenDoubled, Thinned, nullptr);
    HEAPECHO_COUNT(live_thinned);
  }
  g_state.live.EndThinning();
}

// --- The two events.

// The interval that this sample stands for: its gap's, or where the live set has been thinned since
// the gap was drawn, the doubled one, if it stays then (0: it does not). The same coin as for a
// block that is in already.
uint32_t IntervalOfSample(ThreadState& thread, size_t size) {
  uint32_t interval = thread.interval;
  while (interval < g_state.smallest_interval.load(kRelaxed)) {
    if (!sampler::StaysWhenDoubled(thread.random, size, interval)) return 0;
    interval *= 2;
  }
  return interval;
}

// Gives the moment of the sample; 0: there is none.
__attribute__((noinline)) uint64_t Sample(ThreadState& thread, void* block, size_t size,
                                          wire::Domain domain) {
  const uint32_t interval = IntervalOfSample(thread, size);
  if (interval == 0) return 0;
  const OwnTime own_time(thread);
  const uint64_t start = Now();
  SawThread(thread, start);
  Capture capture(thread);
  if (!capture) return 0;
  {
    stack::Interner::Use use(g_state.interner);
    const uint32_t stack = capture.Intern(use, domain, start);
    const live::Block sampled = {.address = reinterpret_cast<uintptr_t>(block),
                                 .size = size,
                                 .time_ns = start,
                                 .stack = stack,
                                 .thread = thread.thread_id,
                                 .interval = interval};
    const double weight = sampler::SampleWeight(size, interval);
    const stack::Worth worth = stack::WorthOf(size, weight);
    stack::StackTotals& totals = g_state.interner.Totals(stack);
    stack::AddAllocation(g_state.totals, totals, worth, start, SecondOfLife(start));
    const uint32_t slot = g_state.live.Insert(sampled);
    if (slot != live::kNoSlot) {
      MirrorLiveSlot(slot);
      AddSmallObject(domain, size, weight, +1);
    } else {  // it cannot be followed, so it counts as freed at once (and was counted as lost)
      stack::AddFree(g_state.totals, totals, worth, false, SecondOfLife(start));
    }
    StackWritten(stack);
    g_state.recording.AppendEvent(thread.ordinal,
                                  {.time_ns = start,
                                   .address = sampled.address,
                                   .size = size,
                                   .allocated_ns = 0,
                                   .weight = weight,
                                   .stack = stack,
                                   .thread = thread.thread_id,
                                   .interval = interval,
                                   .kind = static_cast<uint8_t>(wire::EventKind::kAllocate),
                                   .domain = static_cast<uint8_t>(domain),
                                   .reserved = 0,
                                   .check = 0});
    ThinIfCrowded();
    ReleaseMirroredCode();
  }
  ControlInterval(start);
  MirrorHeader(start);
  return start;
}

// A sampled block is gone: out of the totals, out of the mirror, its slot free for the next. Gives the
// moment.
uint64_t Freed(const live::Block& block, uint32_t slot) {
  const OwnTime own_time(t_state);
  const uint64_t now = Now();
  stack::Interner::Use use(g_state.interner);
  const double weight = sampler::SampleWeight(block.size, block.interval);
  stack::AddFree(g_state.totals, g_state.interner.Totals(block.stack),
                 stack::WorthOf(block.size, weight), IsInherited(block.time_ns), SecondOfLife(now));
  AddSmallObject(DomainOf(block.stack), block.size, weight, -1);
  MirrorLiveSlot(slot);
  g_state.live.Release(slot);
  StackWritten(block.stack);
  g_state.recording.AppendEvent(
      t_state.ordinal, {.time_ns = now,
                        .address = block.address,
                        .size = block.size,
                        .allocated_ns = block.time_ns,
                        .weight = weight,
                        .stack = block.stack,
                        .thread = t_state.thread_id,
                        .interval = block.interval,
                        .kind = static_cast<uint8_t>(wire::EventKind::kFree),
                        .domain = static_cast<uint8_t>(DomainOf(block.stack)),
                        .reserved = 0,
                        .check = 0});
  MirrorHeader(now);
  return now;
}

// Whether the calling thread samples at all. If not, its countdown is set so that it asks again when that may
// have changed.
bool Samples(ThreadState& thread) {
  if (!thread.guarded && g_state.ready.load(std::memory_order_acquire)) return true;
  // Before the constructor the next allocation asks again; where nothing is recorded, hardly ever.
  if (thread.guarded || g_state.options.disable) thread.countdown = kParked;
  return false;
}

// Whether the gap that was counted down ends in `size` bytes that are this process's. If not, the guard has the
// countdown that goes on behind them.
bool GapEnds(ThreadState& thread, Guard& guard, size_t size) {
  if (!IsOurs()) {
    guard.SetCountdown(g_state.interval.load(kRelaxed));
    return false;
  }
  if (thread.epoch == g_state.epoch.load(kRelaxed)) return true;
  SeedThread(thread);
  const uint64_t gap = NextGap(thread);
  if (gap < size) return true;
  guard.SetCountdown(gap - size);
  return false;
}

}  // namespace

void ControlInterval(uint64_t now) {
  uint64_t last = g_state.controlled_ns.load(kRelaxed);
  const uint64_t controlled_own = g_state.controlled_own_ns.load(kRelaxed);
  if ((now - last < kControlNs && g_state.own_ns.load(kRelaxed) < controlled_own + kControlOwnNs) ||
      !g_state.controlled_ns.compare_exchange_strong(last, now, kRelaxed))
    return;
  const uint64_t cpu = recording::ClockNs(CLOCK_PROCESS_CPUTIME_ID);
  const uint64_t own = g_state.own_ns.load(kRelaxed);
  const uint64_t cpu_before = g_state.cpu_ns.exchange(cpu, kRelaxed);
  const uint64_t own_before = g_state.controlled_own_ns.exchange(own, kRelaxed);
  if (g_state.options.interval == base::kAuto && cpu > cpu_before) {
    g_state.interval.store(
        g_state.auto_interval.Next(g_state.interval.load(kRelaxed), own > own_before ? own - own_before : 0,
                                   cpu - cpu_before, cpu, g_state.smallest_interval.load(kRelaxed)),
        kRelaxed);
  }
  LookAtThreads();
  HearChildren();
  g_state.recording.MirrorCounters();
}

void SeedIfNew(ThreadState& thread, Guard& guard) {
  if (thread.epoch == g_state.epoch.load(kRelaxed)) return;
  SeedThread(thread);
  guard.SetCountdown(NextGap(thread));
}

__attribute__((noinline)) void* AllocatedSlow(void* block, size_t size, wire::Domain domain) {
  ThreadState& thread = t_state;
  thread.countdown += size;  // as it was before Due()
  if (block == nullptr || !Samples(thread)) return block;  // a failed call is no event
  Guard guard(thread);
  if (thread.object_size != 0) {  // its gap has ended already
    size = thread.object_size;
    thread.object_size = 0;
  } else if (!GapEnds(thread, guard, size)) {
    return block;
  }
  if (domain == wire::Domain::kMalloc) domain = static_cast<wire::Domain>(thread.domain);
  if (const uint64_t now = Sample(thread, block, size, domain)) {
    BeginFileIfDue(now);
    LookAtMemoryIfDue(now, size);
    WriteFileIfDue(now);
  }
  guard.SetCountdown(NextGap(thread));
  return block;
}

bool ObjectIsDue(size_t size) {
  ThreadState& thread = t_state;
  thread.countdown += size;  // as it was before Due()
  if (!Samples(thread)) return false;
  {
    Guard guard(thread);
    if (!GapEnds(thread, guard, size)) return false;
  }
  thread.object_size = static_cast<uint16_t>(size);
  thread.domain = static_cast<uint8_t>(wire::Domain::kPython);
  thread.countdown = 0;  // whatever malloc is asked for next
  return true;
}

void ObjectWasAsked() {
  ThreadState& thread = t_state;
  thread.domain = static_cast<uint8_t>(wire::Domain::kMalloc);
  if (thread.object_size == 0) return;
  // Malloc refused, or pymalloc had it from elsewhere: no sample, and the next gap begins.
  thread.object_size = 0;
  thread.countdown = NextGap(thread);
  HEAPECHO_COUNT(objects_not_from_malloc);
}

__attribute__((noinline)) void FreeingSlow(void* block) {
  const Reallocation gone = BeginReallocation(block);
  if (gone.slot != live::kNoSlot) EndReallocation(gone, true);
}

Reallocation BeginReallocation(void* block) {
  Reallocation taken;
  taken.slot = live::kNoSlot;
  // Most that come here only share a slot of the filter with a sampled block.
  if (!g_state.live.Contains(reinterpret_cast<uintptr_t>(block))) return taken;
  Guard guard(t_state);
  if (IsOurs()) taken.slot = g_state.live.Take(reinterpret_cast<uintptr_t>(block), &taken.block);
  return taken;
}

void EndReallocation(const Reallocation& reallocation, bool freed) {
  Guard guard(t_state);
  if (freed) {
    const uint64_t now = Freed(reallocation.block, reallocation.slot);
    LookAtMemoryIfDue(now, 0);
    WriteFileIfDue(now);
    return;
  }
  // Back in, under a slot of its own: totals never changed.
  MirrorLiveSlot(reallocation.slot);
  g_state.live.Release(reallocation.slot);
  const uint32_t slot = g_state.live.Insert(reallocation.block);
  if (slot != live::kNoSlot) MirrorLiveSlot(slot);
}

}  // namespace heapecho::hook

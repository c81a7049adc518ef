// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/memory_look.h"

#include <string.h>

#include <atomic>

#include "preload/base/counters.h"
#include "preload/hook/allocator_look.h"
#include "preload/hook/memory_sources.h"
#include "preload/hook/range_look.h"
#include "preload/hook/state.h"
#include "preload/recording/cgroup.h"
#include "preload/recording/process_memory.h"
#include "preload/recording/procfs.h"

namespace heapecho::hook {
namespace {

constexpr uint64_t kPauseNs = kSecond;
constexpr uint64_t kIdlePauseNs = 10 * kSecond;
constexpr uint64_t kPauseNearLimitNs = kSecond / 5;
constexpr uint64_t kShortestPauseNs = 10 * kMillisecond;
// Looks take at most one part in so many of the process's CPU time, or of the time on the clock
// where its memory changes fast.
constexpr uint64_t kCpuPerLook = 1000;
constexpr uint64_t kClockPerLook = 100;
// Growth that asks for a look, fixed point: beyond what looks of the last seconds have seen. Memory that rises and falls
// with each request would else have its looks whenever it rises, one per cent of the time on the clock.
constexpr uint64_t kLeastGrowth = (uint64_t{1} << 20) * wire::kFixedPointOne;
constexpr uint64_t kGrowthShare = 50;
constexpr uint64_t kDueFallsBy = 8;  // with each look, by one part in so many of what memory has fallen
constexpr uint64_t kRequestShare = 100;  // of the limit

// The epoch of the process in which somebody is looking: one that was forked meanwhile may look all
// the same.
constinit std::atomic<uint32_t> g_looking = 0;
constinit recording::CgroupScratch g_scratch = {};  // of whoever set g_looking

// What the last look left for the decision about the next one.
constinit std::atomic<uint64_t> g_cost_ns = 0;   // its CPU time
constinit std::atomic<uint64_t> g_cpu_ns = 0;    // the process's, then
constinit std::atomic<uint64_t> g_live_due = 0;  // live bytes at which the next one is due
constinit std::atomic<uint64_t> g_request_due =
    0;  // the size of a request that is worth one; 0: none is

bool IsNearLimit(const wire::FileHeader& header) {
  const uint64_t current = __atomic_load_n(&header.cgroup_current, __ATOMIC_RELAXED);
  const uint64_t limit = __atomic_load_n(&header.cgroup_limit, __ATOMIC_RELAXED);
  return limit != 0 && current / 17 > limit / 20;
}

uint64_t LiveBytes() {
  const uint64_t live = g_state.totals.live_bytes.load(kRelaxed);
  return live >> 63 != 0 ? 0 : live;
}

uint64_t Dropped() {
  uint64_t dropped = 0;
  for (const base::Counter counter :
       {base::Counter::k_no_scratch_buffer, base::Counter::k_live_set_full,
        base::Counter::k_address_out_of_range, base::Counter::k_stack_unknown,
        base::Counter::k_events_dropped}) {
    dropped += base::g_counters[static_cast<size_t>(counter)].load(kRelaxed);
  }
  return dropped;
}

void Fill(wire::HistoryPoint& moment, uint64_t now, const recording::ProcessMemory& process,
          const recording::CgroupMemory& group) {
  const stack::ProcessTotals& totals = g_state.totals;
  moment.time_ns = now;
  moment.realtime_ns = recording::ClockNs(CLOCK_REALTIME);
  moment.boottime_ns = recording::ClockNs(CLOCK_BOOTTIME);
  moment.rss_anon = process.rss_anon;
  moment.rss_file = process.rss_file;
  moment.rss_shmem = process.rss_shmem;
  moment.swap = process.swap;
  moment.cgroup_current = group.current;
  moment.cgroup_limit = group.limit;
  moment.cgroup_oom_kills = group.oom_kills;
  moment.live_bytes = LiveBytes();
  moment.live_objects = totals.live_objects.load(kRelaxed);
  moment.allocated_bytes = totals.allocated_bytes.load(kRelaxed);
  moment.freed_bytes = totals.freed_bytes.load(kRelaxed);
  moment.live_variance = totals.live_variance.load(kRelaxed);
  moment.samples = totals.samples.load(kRelaxed);
  moment.dropped = Dropped();
  moment.own_ns = g_state.own_ns.load(kRelaxed);
  moment.cpu_ns = g_state.cpu_ns.load(kRelaxed);
  moment.interval = g_state.interval.load(kRelaxed);
  moment.threads = process.threads;
  moment.flags = (process.known ? wire::kHistoryRssKnown : 0u) |
                 (group.current != 0 ? wire::kHistoryCgroupKnown : 0u) |
                 (group.oom_kills_known ? wire::kHistoryOomKillsKnown : 0u);
}

}  // namespace

void LookAtMemoryIfDue(uint64_t now, uint64_t request) {
  const uint64_t last = g_state.looked_ns.load(kRelaxed);
  const uint64_t passed = now > last ? now - last : 0;
  const uint64_t cost = g_cost_ns.load(kRelaxed);
  if (passed < kShortestPauseNs || passed < cost * kClockPerLook) return;
  const wire::FileHeader* header = g_state.recording.header();
  if (header == nullptr) return;
  const uint64_t big = g_request_due.load(kRelaxed);
  bool due = passed >= kIdlePauseNs || LiveBytes() >= g_live_due.load(kRelaxed) ||
             (big != 0 && request > big);
  if (!due && passed >= kPauseNs) {
    due = g_state.cpu_ns.load(kRelaxed) - g_cpu_ns.load(kRelaxed) >= cost * kCpuPerLook;
  }
  if (due || (passed >= kPauseNearLimitNs && IsNearLimit(*header))) LookAtMemory(now);
}

void LookAtMemory(uint64_t now, bool is_last) {
  wire::FileHeader* header = g_state.recording.header();
  const uint32_t epoch = g_state.epoch.load(kRelaxed);
  if (header == nullptr || g_looking.exchange(epoch, std::memory_order_acquire) == epoch) return;
  LookAtRangesIfDue(now, is_last);
  const uint64_t start = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
  const recording::ProcessMemory process =
      recording::ReadProcessMemory(g_scratch.text, sizeof g_scratch.text);
  const recording::CgroupMemory group = recording::ReadCgroupMemory(g_scratch);
  const auto store = [](uint64_t& word, uint64_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELAXED);
  };
  store(header->peak_rss, process.peak_rss);
  store(header->cgroup_current, group.current);
  store(header->cgroup_limit, group.limit);
  store(header->looked_ns, now);
  Fill(g_state.history.draft(), now, process, group);
  const uint64_t parts_start = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
  const uint64_t asking_before = AllocatorsLooks().cpu_ns;
  FillParts(g_state.history.draft(), now, is_last);
  FillHeader(*header, now, g_scratch);
  const uint64_t parts = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - parts_start;
  const uint64_t asking = AllocatorsLooks().cpu_ns - asking_before;
  g_state.history.Add(g_state.recording, &g_state.interner.Totals(0), g_state.interner.used());
  const uint64_t live = g_state.history.draft().live_bytes;
  const uint64_t growth = live / kGrowthShare;
  const uint64_t live_due = live + (growth > kLeastGrowth ? growth : kLeastGrowth);
  const uint64_t due_before = g_live_due.load(kRelaxed);
  g_live_due.store(due_before <= live_due ? live_due : due_before - (due_before - live_due) / kDueFallsBy,
                   kRelaxed);
  g_request_due.store(group.limit / kRequestShare, kRelaxed);
  g_cpu_ns.store(g_state.cpu_ns.load(kRelaxed), kRelaxed);
  const uint64_t cost = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - start;
  g_cost_ns.store(cost - parts, kRelaxed);  // the parts have pauses of their own
  if (cost - asking > __atomic_load_n(&header->look_longest_ns, __ATOMIC_RELAXED)) {
    store(header->look_longest_ns, cost - asking);
  }
  g_state.own_ns.fetch_add(cost, kRelaxed);
  // The automatic interval decides about samples: what looks take, it cannot change.
  g_state.controlled_own_ns.fetch_add(cost, kRelaxed);
  g_state.looked_ns.store(now, kRelaxed);
  g_looking.store(0, std::memory_order_release);  // pairs with the exchange
}

uint64_t PeakRssBytes() {
  char status[1536];
  return recording::ReadProcessMemory(status, sizeof status).peak_rss;
}

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/memory_sources.h"

#include <atomic>

#include "preload/base/memory.h"
#include "preload/hook/allocator_look.h"
#include "preload/hook/presence_look.h"
#include "preload/hook/state.h"
#include "preload/recording/cgroup_stat.h"

namespace heapecho::hook {
namespace {

constexpr uint64_t kCgroupPauseNs = 10 * kSecond;
constexpr uint64_t kTimesWhatItTook = 1000;
constexpr auto kArrow = static_cast<size_t>(wire::Domain::kArrow);

constinit std::atomic<uint64_t> g_cgroup_due_ns = 0;

uint64_t Less(uint64_t whole, uint64_t part) { return whole > part ? whole - part : 0; }

// Live totals are caught below zero for a moment, between a free and its allocation.
uint64_t NotBelowZero(uint64_t value) { return value >> 63 != 0 ? 0 : value; }

uint64_t Bytes(uint32_t pages) { return uint64_t{pages} * base::kPageSize; }

template <typename Word>
void Store(Word& word, Word value) {
  __atomic_store_n(&word, value, __ATOMIC_RELAXED);
}

}  // namespace

void FillParts(wire::HistoryPoint& moment, uint64_t now, bool is_last) {
  const uint64_t arenas = g_state.python_arena_bytes.load(kRelaxed);
  const uint64_t small = NotBelowZero(g_state.python_small.load(kRelaxed)) / wire::kFixedPointOne;
  moment.parts.python_arenas = Pages(arenas);
  moment.parts.python_small = Pages(small);
  moment.flags |= wire::kHistoryAllocatorsKnown;
  LookAtPresence(moment, now, is_last);

  const uint64_t resident = moment.rss_anon + moment.rss_file + moment.rss_shmem;
  const uint64_t reserves =
      Less(arenas, small) +
      Less(Bytes(moment.parts.arrow_reserve), moment.domain_live[kArrow] / wire::kFixedPointOne);
  // Of what is live, what was never touched is nowhere, and takes no other memory's place.
  const uint64_t accounted = Less(moment.live_bytes / wire::kFixedPointOne, Bytes(moment.untouched)) +
                             reserves + Bytes(moment.parts.own_private);
  uint64_t kept = 0;
  if (AskAllocatorIfDue(now, Less(moment.rss_anon + moment.swap, accounted), resident, is_last,
                        &kept)) {
    moment.flags |= wire::kHistoryMallocFreeKnown;
  }
  moment.parts.malloc_free = Pages(kept);
}

void FillHeader(wire::FileHeader& header, uint64_t now, recording::CgroupScratch& scratch) {
  const AllocatorLooks looks = AllocatorsLooks();
  Store(header.allocator_ns, looks.last_ns);
  Store(header.allocator_took_ns, looks.longest_ns);
  Store(header.allocator_asked, looks.count);
  if (now < g_cgroup_due_ns.load(kRelaxed)) return;
  const uint64_t start = Now();
  const recording::CgroupStat stat = recording::ReadCgroupStat(scratch);
  const uint64_t took = (Now() - start) * kTimesWhatItTook;
  g_cgroup_due_ns.store(now + (took > kCgroupPauseNs ? took : kCgroupPauseNs), kRelaxed);
  if (!stat.known) return;
  Store(header.cgroup_peak, stat.peak);
  Store(header.cgroup_anon, stat.anon);
  Store(header.cgroup_file, stat.file);
  Store(header.cgroup_shmem, stat.shmem);
  Store(header.cgroup_inactive_file, stat.inactive_file);
  Store(header.cgroup_kernel, stat.kernel);
  Store(header.cgroup_slab, stat.slab);
  Store(header.cgroup_page_tables, stat.page_tables);
  Store(header.cgroup_kernel_stack, stat.kernel_stack);
  Store(header.cgroup_sock, stat.sock);
  Store(header.cgroup_limit_hits, stat.limit_hits);
  Store(header.cgroup_stat_ns, now);
}

void MemorySourcesAfterFork() {
  g_cgroup_due_ns.store(0, kRelaxed);
  PresenceLookAfterFork();
}

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/memory_look.h"

#include <string.h>

#include <atomic>

#include "preload/hook/state.h"
#include "preload/recording/cgroup.h"
#include "preload/recording/procfs.h"

namespace heapecho::hook {
namespace {

// The epoch of the process in which somebody is looking: one that was forked meanwhile may look all the same.
constinit std::atomic<uint32_t> g_looking = 0;
constinit recording::CgroupScratch g_scratch = {};  // of whoever set g_looking

bool IsNearLimit(const wire::FileHeader& header) {
  const uint64_t current = __atomic_load_n(&header.cgroup_current, __ATOMIC_RELAXED);
  const uint64_t limit = __atomic_load_n(&header.cgroup_limit, __ATOMIC_RELAXED);
  return limit != 0 && current / 17 > limit / 20;
}

}  // namespace

void LookAtMemoryIfDue(uint64_t now) {
  const wire::FileHeader* header = g_state.recording.header();
  if (header == nullptr) return;
  const uint64_t pause = IsNearLimit(*header) ? 100 * kMillisecond : kSecond;
  if (now - g_state.looked_ns.load(kRelaxed) >= pause) LookAtMemory(now);
}

void LookAtMemory(uint64_t now) {
  wire::FileHeader* header = g_state.recording.header();
  const uint32_t epoch = g_state.epoch.load(kRelaxed);
  if (header == nullptr || g_looking.exchange(epoch, std::memory_order_acquire) == epoch) return;
  g_state.looked_ns.store(now, kRelaxed);
  const recording::CgroupMemory group = recording::ReadCgroupMemory(g_scratch);
  g_looking.store(0, std::memory_order_release);  // pairs with the exchange
  const auto store = [](uint64_t& word, uint64_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELAXED);
  };
  store(header->peak_rss, PeakRssBytes());
  store(header->cgroup_current, group.current);
  store(header->cgroup_limit, group.limit);
  store(header->looked_ns, now);
}

uint64_t PeakRssBytes() {
  char status[1536];
  recording::ReadSmallFile("/proc/self/status", status, sizeof status);
  const char* line = strstr(status, "VmHWM:");
  if (line == nullptr) return 0;
  for (line += strlen("VmHWM:"); *line == ' ' || *line == '\t'; ++line) {
  }
  return recording::ParseDecimal(line) << 10;
}

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/threads.h"

#include "preload/base/counters.h"
#include "preload/hook/state.h"

namespace heapecho::hook {
namespace {

constexpr uint16_t kNoRoom = UINT16_MAX;

}  // namespace

void SawThread(ThreadState& thread, uint64_t now) {
  if (thread.record != 0) return;
  const uint32_t record = g_state.thread_table.Add(thread.thread_id, thread.ordinal, now);
  if (record >= kNoRoom - 1) {
    HEAPECHO_COUNT(threads_dropped);
    thread.record = kNoRoom;
    return;
  }
  thread.record = static_cast<uint16_t>(record + 1);
  ThreadWritten(record);
}

void RenewThreadName(const ThreadState& thread) {
  if (thread.events != 0 || thread.record == 0 || thread.record == kNoRoom ||
      thread.epoch !=
          g_state.epoch.load(kRelaxed)) {  // of the process that this one was forked from
    return;
  }
  const uint32_t record = thread.record - 1U;
  if (g_state.thread_table.RenewName(record)) ThreadWritten(record);
}

void LookAtThreads() {
  const uint32_t count = recording::CountThreads();
  uint32_t most = g_state.threads_at_most.load(kRelaxed);
  while (most < count && !g_state.threads_at_most.compare_exchange_weak(most, count, kRelaxed)) {
  }
}

void ThreadWritten(uint32_t record) {
  g_state.recording.MirrorThread(record, g_state.thread_table.Record(record));
}

}  // namespace heapecho::hook

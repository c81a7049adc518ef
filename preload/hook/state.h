// SPDX-License-Identifier: Apache-2.0
// Everything the library owns, in one zero-initialised object: who wants to know all rooms includes
// this.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

#include "preload/base/options.h"
#include "preload/base/scratch_pool.h"
#include "preload/live/live_set.h"
#include "preload/pools/python_allocator.h"
#include "preload/recording/child_board.h"
#include "preload/recording/child_log.h"
#include "preload/recording/history.h"
#include "preload/recording/process.h"
#include "preload/recording/procfs.h"
#include "preload/recording/recording.h"
#include "preload/recording/threads.h"
#include "preload/sampler/interval.h"
#include "preload/stack/intern.h"
#include "preload/stack/native_unwinder.h"
#include "preload/stack/python.h"
#include "preload/stack/python_code.h"
#include "preload/stack/totals.h"

namespace heapecho::hook {

inline constexpr auto kRelaxed = std::memory_order_relaxed;
inline constexpr uint64_t kMillisecond = 1000000;
inline constexpr uint64_t kSecond = 1000000000;

struct Scratch {
  stack::NativeFrame native[wire::kMaxNativeFrames];
  stack::PythonFrame python[stack::kMaxPythonFrames];
  // Of the sample that used the buffer last.
  stack::KnownRows rows;
  stack::KnownPath path;
  uint32_t epoch;  // of the process it was sampled in
};

// Whether this process has its file.
enum : uint32_t { kFileDue = 0, kFileBegun = 1, kFileRefused = 2 };

// Everything the library owns. Zero means: not initialised, forward every call.
struct State {
  std::atomic<bool> ready;
  base::Options options = {};
  uint64_t budget = 0;
  recording::ProcessPage process;
  recording::Recording recording;
  recording::ChildLog children;
  recording::ChildBoard board;
  std::atomic<uint32_t> notes_of_children;  // in this recording
  recording::History history;
  stack::Python python;
  pools::PythonDomain python_domain;
  std::atomic<uint64_t> python_arena_bytes;  // that pymalloc has from the system now
  std::atomic<uint64_t> python_small;        // live in them, as it rounds them: fixed point bytes
  stack::CodeTable code;
  stack::Interner interner;
  stack::ProcessTotals totals;
  live::LiveSet live;
  recording::ThreadTable thread_table;
  base::ScratchPool<Scratch> scratch;
  std::atomic<uint32_t> epoch;              // of this process among its forefathers, from 1
  std::atomic<uint32_t> threads;            // seeded so far
  std::atomic<uint32_t> threads_at_most;    // at once, when somebody looked
  std::atomic<uint64_t> interval;           // for gaps that are drawn from now on
  sampler::AutoInterval auto_interval;
  std::atomic<uint64_t> smallest_interval;  // raised by thinning
  std::atomic<uint64_t> own_ns;
  std::atomic<uint64_t> cpu_ns;
  std::atomic<uint64_t> controlled_ns;  // when the interval was looked at last
  std::atomic<uint64_t> controlled_own_ns;
  std::atomic<uint64_t> looked_ns;  // when the process's memory was looked at last
  std::atomic<uint32_t> file;
  std::atomic<bool> child_pending;  // forked, and nothing has happened in it yet
  uint64_t start_ns = 0;
  uint64_t forked_at_ns = 0;
  uint8_t parent_id[16] = {};
  bool has_parent = false;
};
extern constinit State g_state __attribute__((visibility("hidden")));

inline uint64_t Now() { return recording::ClockNs(CLOCK_MONOTONIC); }

inline uint32_t CodeIdOf(const stack::PythonFrame& frame) {
  return g_state.code.IdOf(g_state.python.interpreter(), frame);
}

// Whether what has been there since then was allocated by the process that this one was forked from.
inline bool IsInherited(uint64_t time_ns) {
  return g_state.has_parent && time_ns < g_state.forked_at_ns;
}

// Seconds since the process began, or was forked.
inline uint32_t SecondOfLife(uint64_t now) {
  return static_cast<uint32_t>((now - g_state.start_ns) / kSecond);
}

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/lifetime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "preload/base/counters.h"
#include "preload/base/log.h"
#include "preload/hook/allocator_look.h"
#include "preload/hook/memory_look.h"
#include "preload/hook/memory_sources.h"
#include "preload/hook/arrow.h"
#include "preload/hook/mirror.h"
#include "preload/hook/next.h"
#include "preload/hook/python_hooks.h"
#include "preload/hook/range_look.h"
#include "preload/hook/ranges.h"
#include "preload/hook/state.h"
#include "preload/hook/thread_state.h"
#include "preload/sampler/interval.h"
#include "preload/sampler/poisson.h"
#include "preload/stack/modules.h"

namespace heapecho::hook {

constinit thread_local ThreadState t_state = {};
constinit State g_state = {};

namespace {

using recording::ProcessState;

// Which processes that ended well leave no file (design: they are the noise of a container).
constexpr uint64_t kShortNs = 10 * kSecond;
constexpr uint64_t kShortRssBytes = 32 << 20;

void BecomeChild() {
  g_state.child_pending.store(false, kRelaxed);
  const uint64_t now = Now();
  const size_t released = g_state.code.released();
  g_state.code.AfterFork(released > 0 ? g_state.recording.CodeLog(released) : nullptr);
  g_state.has_parent = g_state.recording.Abandon(g_state.parent_id) || g_state.has_parent;
  g_state.forked_at_ns = now;
  g_state.start_ns = now;
  g_state.python.AfterFork();
  g_state.interner.AfterFork();
  g_state.live.AfterFork();
  g_state.scratch.Reset();
  RangesAfterFork();
  RangeLookAfterFork();
  for (auto& counter : base::g_counters) counter.store(0, kRelaxed);
  for (uint32_t stack = 0; stack < g_state.interner.used(); ++stack) {
    stack::BeginChild(g_state.interner.Totals(stack));
  }
  stack::BeginChild(g_state.totals, now);
  g_state.threads.store(0, kRelaxed);
  g_state.threads_at_most.store(0, kRelaxed);
  g_state.thread_table.AfterFork();
  g_state.own_ns.store(0, kRelaxed);
  g_state.cpu_ns.store(0, kRelaxed);
  g_state.controlled_ns.store(now, kRelaxed);
  g_state.controlled_own_ns.store(0, kRelaxed);
  g_state.children.Clear();
  g_state.board.AfterFork();
  g_state.notes_of_children.store(0, kRelaxed);
  g_state.history.Clear();
  g_state.looked_ns.store(0, kRelaxed);
  MemorySourcesAfterFork();
  g_state.file.store(kFileDue, kRelaxed);
  g_state.epoch.fetch_add(1, kRelaxed);
}

}  // namespace

bool IsOurs() {
  if (!g_state.ready.load(std::memory_order_acquire)) return false;
  const ProcessState state = g_state.process.Ask();
  if (state == ProcessState::kForeign) return false;
  if (state == ProcessState::kForked) {
    BecomeChild();
    AllocatorLookAfterFork(false);  // until fork()'s hook says otherwise
    g_state.process.Claim();
  } else if (g_state.child_pending.load(kRelaxed) &&
             g_state.child_pending.exchange(false, kRelaxed)) {
    BecomeChild();
  }
  return true;
}

// In a container whose variables preload this library, whoever looks at recordings would leave one. HEAPECHO_ONLY asks
// for it all the same.
bool IsTheAnalyzer() {
  char path[512];
  const size_t length = recording::ReadLink("/proc/self/exe", path, sizeof path);
  constexpr char kName[] = "/heapecho";
  constexpr size_t kLength = sizeof kName - 1;
  return length >= kLength && memcmp(path + length - kLength, kName, kLength) == 0;
}

void Initialize() {
  if (g_state.ready.load(kRelaxed)) return;
  const int error = errno;
  base::RememberStderr();
  char working_directory[512];
  recording::ReadLink("/proc/self/cwd", working_directory, sizeof working_directory);
  base::ReadOptions(secure_getenv, working_directory, &g_state.options);
  if (g_state.options.only[0] == '\0') {
    g_state.options.disable = g_state.options.disable || IsTheAnalyzer();
  } else if (!g_state.options.disable) {
    char command[64] = {};
    const size_t length = recording::ReadSmallFile("/proc/self/comm", command, sizeof command);
    if (length > 0 && command[length - 1] == '\n') command[length - 1] = '\0';
    g_state.options.disable = !base::IsSelected(g_state.options.only, command);
  }
  const char* whose = nullptr;
  if (!g_state.options.disable && MallocIsAnothers(&whose)) {
    base::Complain("not recording: malloc is that of ",
                   whose[0] != '\0' ? whose : "the executable");
    g_state.options.disable = true;
  }
  if (!g_state.options.disable) {
    g_state.budget = recording::FitAddressSpace(
        recording::DecideBudget(g_state.options.budget, g_state.options.directory));
    if (g_state.budget == 0) {
      base::Complain("not recording: the address space is limited (RLIMIT_AS)");
      g_state.options.disable = true;
    }
  }
  if (!g_state.options.disable) {
    const recording::Layout layout = recording::LayoutFor(g_state.budget);
    stack::InitializeNativeUnwinder();
    stack::SetModuleSink(ModuleSeen);
    const bool whole = g_state.process.Initialize() && g_state.scratch.Initialize() &&
                       g_state.live.Initialize(layout.live) &&
                       g_state.thread_table.Initialize(layout.threads) &&
                       g_state.history.Initialize(layout) &&
                       g_state.code.Initialize(layout.code_bytes, CodeWritten) &&
                       g_state.interner.Initialize(layout.stacks, layout.native_nodes,
                                                   layout.python_nodes, MirrorOfStacks()) &&
                       (g_state.options.mmap == base::Mmap::kOff ||
                        InitializeRanges(layout.ranges));
    g_state.python.Initialize(g_state.options.python == base::PythonUse::kWhole ||
                                  g_state.options.python == base::PythonUse::kFrames,
                              PythonChanged);
    uint64_t interval =
        g_state.options.interval == base::kAuto ? sampler::kAutoFirst : g_state.options.interval;
    if (interval > sampler::kLargestInterval) interval = sampler::kLargestInterval;
    g_state.interval.store(interval, kRelaxed);
    g_state.smallest_interval.store(
        g_state.options.interval == base::kAuto ? sampler::kAutoSmallest : interval, kRelaxed);
    FindAllocatorsWord();
    g_state.start_ns = Now();
    g_state.controlled_ns.store(g_state.start_ns, kRelaxed);
    g_state.epoch.store(1, kRelaxed);
    if (!whole) {
      base::Complain("not recording: no memory for its tables");
      g_state.options.disable = true;
    }
  }
  if (!g_state.options.disable) g_state.board.Initialize();
  if (!g_state.options.disable) HookPythonAtStart();
  g_state.ready.store(!g_state.options.disable, std::memory_order_release);  // pairs with IsOurs
  if (!g_state.options.disable) LookForArrow();  // one that the program is linked to
  errno = error;
}

void LibraryMayGo() {
  if (!g_state.ready.load(std::memory_order_acquire)) return;
  g_state.python.LibraryMayGo();
  stack::ModulesMayHaveChanged();
}

void LibraryWent() {
  if (!g_state.ready.load(std::memory_order_acquire)) return;
  stack::ModulesMayHaveChanged();
  g_state.python.LibraryWent();
}

void AfterForkInChild(bool locks_are_free) {
  if (!g_state.ready.load(std::memory_order_acquire)) return;
  // Claimed at once, so that a vfork of this child's cannot be taken for the child; all else waits
  // for the first event, which a child that only execs never has.
  if (g_state.process.Ask() == ProcessState::kForked) {
    g_state.child_pending.store(true, kRelaxed);
    g_state.process.Claim();
  }
  ArrowAfterFork();
  AllocatorLookAfterFork(locks_are_free);
  t_state.guarded = false;
  t_state.countdown = 0;
}

void ProcessExits(int status) {
  if (!g_state.ready.load(std::memory_order_acquire) ||
      g_state.process.Ask() != ProcessState::kOurs || g_state.child_pending.load(kRelaxed)) {
    return;
  }
  const uint64_t now = Now();
  if (!g_state.options.keep_short && status == 0 && now - g_state.start_ns < kShortNs &&
      !g_state.children.saw_kill() && PeakRssBytes() < kShortRssBytes) {
    g_state.recording.Remove();
    return;
  }
  LookAtMemory(now, true);
  MirrorHeader(now);
  HearChildren();
  g_state.recording.EndProcess(wire::ProcessEnd::kExited, status, now);
}

void ProcessExecs() {
  if (!g_state.ready.load(std::memory_order_acquire) ||
      g_state.process.Ask() != ProcessState::kOurs || g_state.child_pending.load(kRelaxed)) {
    return;
  }
  g_state.recording.EndProcess(wire::ProcessEnd::kExec, 0, Now());
}

void ExecFailed() {
  if (!g_state.ready.load(std::memory_order_acquire) ||
      g_state.process.Ask() != ProcessState::kOurs || g_state.child_pending.load(kRelaxed)) {
    return;
  }
  g_state.recording.EndProcess(wire::ProcessEnd::kRunning, 0, 0);
}

}  // namespace heapecho::hook

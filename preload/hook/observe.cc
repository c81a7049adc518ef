// SPDX-License-Identifier: Apache-2.0
// The only file that knows all rooms: sampler, stack, live set, recording.
#include "preload/hook/observe.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "preload/base/counters.h"
#include "preload/base/log.h"
#include "preload/base/options.h"
#include "preload/base/scratch_pool.h"
#include "preload/base/syscalls.h"
#include "preload/hook/next.h"
#include "preload/recording/procfs.h"
#include "preload/recording/process.h"
#include "preload/recording/recording.h"
#include "preload/sampler/interval.h"
#include "preload/sampler/poisson.h"
#include "preload/stack/capture_registers.h"
#include "preload/stack/intern.h"
#include "preload/stack/modules.h"
#include "preload/stack/native_unwinder.h"
#include "preload/stack/python.h"
#include "preload/stack/python_code.h"

namespace heapecho::hook {

constinit thread_local ThreadState t_state = {};

namespace {

using recording::ProcessState;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kSecond = 1000000000;

// A countdown that is not reached: 2^62 bytes.
constexpr uint64_t kParked = uint64_t{1} << 62;

// When a file begins, and which short processes leave none (design: they are the noise of a container).
constexpr uint64_t kBeginBytes = 1 << 20;
constexpr uint64_t kBeginNs = kSecond;
constexpr uint64_t kShortNs = 10 * kSecond;
constexpr uint64_t kShortRssKiB = 32 << 10;

constexpr uint64_t kControlNs = 100 * kMillisecond;
// One event in so many is timed, and stands for the others.
constexpr uint64_t kTimedEvents = 16;

struct Scratch {
  stack::NativeFrame native[wire::kMaxNativeFrames];
  stack::PythonFrame python[stack::kMaxPythonFrames];
};

enum : uint32_t { kFileDue = 0, kFileBegun = 1, kFileRefused = 2 };

// Everything the library owns. Zero means: not initialised, forward every call.
struct State {
  std::atomic<bool> ready;
  base::Options options = {};
  uint64_t budget = 0;
  recording::ProcessPage process;
  recording::Recording recording;
  stack::Python python;
  stack::CodeTable code;
  stack::Interner interner;
  stack::ProcessTotals totals;
  live::LiveSet live;
  base::ScratchPool<Scratch> scratch;
  std::atomic<uint32_t> epoch;     // of this process among its forefathers, from 1
  std::atomic<uint32_t> threads;   // seeded so far
  std::atomic<uint64_t> interval;  // for gaps that are drawn from now on
  std::atomic<uint64_t> smallest_interval;  // raised by thinning
  std::atomic<uint64_t> own_ns;
  std::atomic<uint64_t> cpu_ns;
  std::atomic<uint64_t> controlled_ns;  // when the interval was looked at last
  std::atomic<uint64_t> controlled_own_ns;
  std::atomic<uint32_t> file;
  std::atomic<bool> child_pending;  // forked, and nothing has happened in it yet
  uint64_t start_ns = 0;
  uint64_t forked_at_ns = 0;
  uint8_t parent_id[16] = {};
  bool has_parent = false;
};
constinit State g = {};

uint64_t Now() { return recording::ClockNs(CLOCK_MONOTONIC); }

uint32_t SecondOfLife(uint64_t now) { return static_cast<uint32_t>((now - g.start_ns) / kSecond); }

// --- Mirroring private tables into the file.

void NativeNodeWritten(uint32_t node) {
  g.recording.MirrorNativeNode(node, g.interner.native_nodes().Record(node));
}

void PythonNodeWritten(uint32_t node) {
  g.recording.MirrorPythonNode(node, g.interner.python_nodes().Record(node));
}

void CodeWritten(size_t offset, size_t bytes) {
  g.recording.MirrorCode(offset, g.code.log() + offset, bytes);
}

uint32_t CodeIdOf(const stack::PythonFrame& frame) { return g.code.IdOf(g.python.interpreter(), frame); }

// A recording that begins later has it among its facts.
void PythonChanged(wire::IdentityKey key, const char* text) { g.recording.AppendIdentity(key, text); }

void StackWritten(uint32_t stack) { g.recording.MirrorStack(stack, &g.interner.Totals(stack)); }

void ModuleSeen(const stack::Module& module) {
  const size_t path_length = strlen(module.path);
  const wire::ModuleRecord record = {
      .length = 0,
      .kind = static_cast<uint16_t>(module.unloaded ? wire::ModuleRecordKind::kUnloaded
                                                    : wire::ModuleRecordKind::kLoaded),
      .id = module.id,
      .time_ns = module.unloaded ? module.unloaded_ns : module.seen_ns,
      .bias = module.bias,
      .start = module.start,
      .end = module.end,
      .build_id_length = module.unloaded ? 0u : module.build_id_length,
      .path_length = module.unloaded ? 0u : static_cast<uint32_t>(path_length)};
  g.recording.AppendModule(record, module.build_id, module.path);
}

wire::LiveRecord LiveRecordOf(const live::Block& block) {
  return {.address = block.address,
          .size = block.size,
          .time_ns = block.time_ns,
          .weight = sampler::SampleWeight(block.size, block.interval),
          .stack = block.stack,
          .thread = block.thread,
          .interval = block.interval,
          .reserved = 0,
          .check = 0};
}

// What the file says of a slot becomes what the live set says. Threads that mirror one slot at a time may pass
// each other, so each looks again whether what it wrote still is the truth.
void MirrorLiveSlot(uint32_t slot) {
  uint64_t version = g.live.Version(slot);
  for (;;) {
    live::Block block;
    if (g.live.Look(slot, &block)) {
      g.recording.MirrorLive(slot, LiveRecordOf(block));
    } else {
      g.recording.ClearLive(slot);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);  // what was written is seen before this is read
    const uint64_t now = g.live.Version(slot);
    if (now == version) return;
    version = now;
  }
}

void MirrorHeader(uint64_t now) {
  wire::FileHeader* header = g.recording.header();
  if (header == nullptr) return;
  const auto store = [](auto& word, auto value) { __atomic_store_n(&word, value, __ATOMIC_RELAXED); };
  const auto store_double = [](double& word, double value) {
    __atomic_store(&word, &value, __ATOMIC_RELAXED);
  };
  store(header->last_event_ns, now);
  store(header->interval_now, g.interval.load(kRelaxed));
  store(header->threads_seen, g.threads.load(kRelaxed));
  store(header->own_ns, g.own_ns.load(kRelaxed));
  store(header->cpu_ns, g.cpu_ns.load(kRelaxed));
  const stack::ProcessTotals& totals = g.totals;
#define MIRROR(word) store(header->word, totals.word.load(kRelaxed))
#define MIRROR_DOUBLE(word) store_double(header->word, totals.word.load(kRelaxed))
  MIRROR(samples);
  MIRROR(allocated_bytes);
  MIRROR(allocated_objects);
  MIRROR(freed_bytes);
  MIRROR(freed_objects);
  MIRROR(live_bytes);
  MIRROR(live_objects);
  MIRROR(peak_bytes);
  MIRROR(peak_objects);
  MIRROR(peak_ns);
  MIRROR(peak_mark);
  MIRROR_DOUBLE(allocated_variance);
  MIRROR_DOUBLE(allocated_object_variance);
  MIRROR_DOUBLE(live_variance);
  MIRROR_DOUBLE(live_object_variance);
  MIRROR_DOUBLE(peak_variance);
  MIRROR_DOUBLE(peak_object_variance);
#undef MIRROR
#undef MIRROR_DOUBLE
}

// The log of code from its beginning. What is being written there now is mirrored by who writes it, who has either
// given it its length before this looks, or finds the recording active.
void MirrorCode() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const char* const log = g.code.log();
  for (size_t at = 0, end = g.code.log_bytes(); at + sizeof(wire::CodeRecord) <= end;) {
    const uint32_t bytes =
        __atomic_load_n(reinterpret_cast<const uint32_t*>(log + at), __ATOMIC_ACQUIRE);
    if (bytes != 0) CodeWritten(at, bytes);
    at += bytes != 0 ? bytes : 8;
  }
}

void MirrorEverything(uint64_t now) {
  MirrorCode();
  for (uint32_t node = 1; node < g.interner.native_nodes().used(); ++node) NativeNodeWritten(node);
  for (uint32_t node = 1; node < g.interner.python_nodes().used(); ++node) PythonNodeWritten(node);
  for (uint32_t stack = 0; stack < g.interner.used(); ++stack) StackWritten(stack);
  for (uint32_t slot = 0; slot < g.live.capacity(); ++slot) {
    live::Block block;
    if (g.live.Look(slot, &block)) MirrorLiveSlot(slot);
  }
  stack::ForEachModule([](const stack::Module& module, void*) { ModuleSeen(module); }, nullptr);
  MirrorHeader(now);
}

void BeginFileIfDue(uint64_t now) {
  if (g.file.load(kRelaxed) != kFileDue) return;
  if (!g.options.keep_short && now - g.start_ns < kBeginNs &&
      g.totals.allocated_bytes.load(kRelaxed) < kBeginBytes * wire::kFixedPointOne) {
    return;
  }
  uint32_t due = kFileDue;
  if (!g.file.compare_exchange_strong(due, kFileRefused, kRelaxed)) return;  // another thread is at it
  const char* const walk = g.python.verdict();
  const recording::Trouble trouble = g.recording.Begin(
      {.directory = g.options.directory,
       .budget = g.budget,
       .keep = g.options.keep,
       .interval_configured = g.options.interval,
       .process_start_ns = g.start_ns,
       .forked_at_ns = g.has_parent ? g.forked_at_ns : 0,
       .parent_id = g.has_parent ? g.parent_id : nullptr,
       .facts = {.libc_version = gnu_get_libc_version(),
                 .allocator_path = AllocatorPath(),
                 .library_version = HEAPECHO_VERSION,
                 .python_version = g.python.version(),
                 .python_walk = walk}});
  if (trouble.what != nullptr) {
    char number[32] = " (errno ";
    *recording::FormatDecimal(number + strlen(number), static_cast<uint64_t>(trouble.error)) = ')';
    base::Complain("not recording: ", g.options.directory, " ", trouble.what,
                   trouble.error != 0 ? number : nullptr);
    return;
  }
  if (walk == nullptr && g.python.verdict() != nullptr) {  // decided meanwhile
    PythonChanged(wire::IdentityKey::kPythonWalk, g.python.verdict());
  }
  MirrorEverything(now);
  g.file.store(kFileBegun, std::memory_order_release);  // pairs with ReleaseMirroredCode
}

// Records of code are in the file for good; only before it begins is there need of another copy.
void ReleaseMirroredCode() {
  if (g.file.load(std::memory_order_acquire) == kFileBegun && g.recording.active()) g.code.Release();
}

// --- Who am I?

void BecomeChild() {
  g.child_pending.store(false, kRelaxed);
  const uint64_t now = Now();
  const size_t released = g.code.released();
  g.code.AfterFork(released > 0 ? g.recording.CodeLog(released) : nullptr);
  g.has_parent = g.recording.Abandon(g.parent_id) || g.has_parent;
  g.forked_at_ns = now;
  g.start_ns = now;
  g.python.AfterFork();
  g.interner.AfterFork();
  g.live.AfterFork();
  g.scratch.Reset();
  for (auto& counter : base::g_counters) counter.store(0, kRelaxed);
  for (uint32_t stack = 0; stack < g.interner.used(); ++stack) {
    stack::BeginChild(g.interner.Totals(stack));
  }
  stack::BeginChild(g.totals, now);
  g.threads.store(0, kRelaxed);
  g.own_ns.store(0, kRelaxed);
  g.cpu_ns.store(0, kRelaxed);
  g.controlled_ns.store(now, kRelaxed);
  g.controlled_own_ns.store(0, kRelaxed);
  g.file.store(kFileDue, kRelaxed);
  g.epoch.fetch_add(1, kRelaxed);
}

// Whether this is a process whose events are ours to keep; becomes the child's first time.
bool IsOurs() {
  if (!g.ready.load(std::memory_order_acquire)) return false;
  const ProcessState state = g.process.Ask();
  if (state == ProcessState::kForeign) return false;
  if (state == ProcessState::kForked) {
    BecomeChild();
    g.process.Claim();
  } else if (g.child_pending.load(kRelaxed) && g.child_pending.exchange(false, kRelaxed)) {
    BecomeChild();
  }
  return true;
}

// Seeds the thread for this process. Its gap is to be drawn anew.
void SeedThread(ThreadState& thread) {
  recording::FillRandom(&thread.random, sizeof thread.random);
  thread.thread_id = static_cast<uint32_t>(base::Syscall(SYS_gettid));
  thread.ordinal = g.threads.fetch_add(1, kRelaxed);
  thread.bounds = {};
  thread.epoch = g.epoch.load(kRelaxed);
}

uint64_t NextGap(ThreadState& thread) {
  thread.interval = static_cast<uint32_t>(g.interval.load(kRelaxed));
  return sampler::DrawGap(thread.random, thread.interval);
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
  stack::AddThinning(g.totals, g.interner.Totals(before.stack), was, is);
  StackWritten(before.stack);
}

void ThinIfNearlyFull() {
  const uint32_t limit = g.live.capacity() / 4 * 3;
  if (g.live.size() < limit || !g.live.TryStartThinning()) return;
  while (g.live.size() >= limit) {
    const uint64_t interval = g.interval.load(kRelaxed) * 2;
    if (interval > sampler::kLargestInterval) break;
    // Raised first: what other threads sample meanwhile is thinned before it comes in.
    g.smallest_interval.store(interval, kRelaxed);
    g.interval.store(interval, kRelaxed);
    g.live.Thin(static_cast<uint32_t>(interval), StaysWhenDoubled, Thinned, nullptr);
    HEAPECHO_COUNT(live_thinned);
  }
  g.live.EndThinning();
}

void ControlInterval(uint64_t now) {
  uint64_t last = g.controlled_ns.load(kRelaxed);
  if (now - last < kControlNs || !g.controlled_ns.compare_exchange_strong(last, now, kRelaxed)) return;
  const uint64_t cpu = recording::ClockNs(CLOCK_PROCESS_CPUTIME_ID);
  const uint64_t own = g.own_ns.load(kRelaxed);
  const uint64_t cpu_before = g.cpu_ns.exchange(cpu, kRelaxed);
  const uint64_t own_before = g.controlled_own_ns.exchange(own, kRelaxed);
  if (g.options.interval == base::kAuto && cpu > cpu_before && cpu_before != 0) {
    g.interval.store(
        sampler::NextAutoInterval(g.interval.load(kRelaxed), own - own_before, cpu - cpu_before,
                                  g.smallest_interval.load(kRelaxed)),
        kRelaxed);
  }
  g.recording.MirrorCounters();
}

// What an event costs, for the automatic interval. CPU time of the thread, since on a busy machine most of the
// time on the clock is somebody else's; asking for it is a system call, so one event in kTimedEvents pays it.
class OwnTime {
 public:
  explicit OwnTime(ThreadState& thread) {
    if (++thread.events % kTimedEvents == 0) start_ = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
  }
  ~OwnTime() {
    if (start_ == 0) return;
    const uint64_t took = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - start_;
    g.own_ns.fetch_add(took * kTimedEvents, kRelaxed);
  }
  OwnTime(const OwnTime&) = delete;
  OwnTime& operator=(const OwnTime&) = delete;

 private:
  uint64_t start_ = 0;
};

// --- The two events.

bool IsInherited(const live::Block& block) {
  return g.has_parent && block.time_ns < g.forked_at_ns;
}

// The interval that this sample stands for: its gap's, or where the live set has been thinned since the gap was
// drawn, the doubled one, if it stays then (0: it does not). The same coin as for a block that is in already.
uint32_t IntervalOfSample(ThreadState& thread, size_t size) {
  uint32_t interval = thread.interval;
  while (interval < g.smallest_interval.load(kRelaxed)) {
    if (!sampler::StaysWhenDoubled(thread.random, size, interval)) return 0;
    interval *= 2;
  }
  return interval;
}

__attribute__((noinline)) void Sample(ThreadState& thread, void* block, size_t size) {
  const uint32_t interval = IntervalOfSample(thread, size);
  if (interval == 0) return;
  const OwnTime own_time(thread);
  const uint64_t start = Now();
  Scratch* scratch = g.scratch.Take();
  if (scratch == nullptr) {
    HEAPECHO_COUNT(no_scratch_buffer);
    return;
  }
  stack::Registers registers;
  stack::CaptureRegisters(&registers);
  stack::NativeWalk walk =
      stack::WalkNative(registers, thread.bounds, scratch->native, wire::kMaxNativeFrames);
  if (walk.truncated) HEAPECHO_COUNT(unwind_truncated);
  if (walk.broken) {
    HEAPECHO_COUNT(unwind_broken);
    // It may have ended at anything; what is an evaluation is for the merge to say.
    if (walk.count > 0) scratch->native[walk.count - 1].ip &= ~wire::kEvaluationFrame;
  }
  const auto own = static_cast<uint32_t>(stack::LeadingOwnFrames(scratch->native, walk.count));
  walk.count -= own;
  stack::NativeFrame* const native = scratch->native + own;
  const stack::PythonWalk python =
      g.python.Walk(own > 0 ? native[-1].cfa : registers.sp, native, walk, scratch->python);
  if (python.truncated) HEAPECHO_COUNT(python_truncated);
  {
    stack::Interner::Use use(g.interner);
    g.interner.FoldIfFull(use, g.totals, start);
    const uint32_t stack =
        g.interner.Intern(use,
                          {.native = native,
                           .native_walk = walk,
                           .python = scratch->python,
                           .python_walk = python,
                           .code_id = CodeIdOf},
                          wire::Domain::kMalloc, start);
    g.scratch.GiveBack(scratch);

    const live::Block sampled = {.address = reinterpret_cast<uintptr_t>(block),
                                 .size = size,
                                 .time_ns = start,
                                 .stack = stack,
                                 .thread = thread.thread_id,
                                 .interval = interval};
    const double weight = sampler::SampleWeight(size, interval);
    const stack::Worth worth = stack::WorthOf(size, weight);
    stack::StackTotals& totals = g.interner.Totals(stack);
    stack::AddAllocation(g.totals, totals, worth, start, SecondOfLife(start));
    const uint32_t slot = g.live.Insert(sampled);
    if (slot != live::kNoSlot) {
      MirrorLiveSlot(slot);
    } else {  // it cannot be followed, so it counts as freed at once (and was counted as lost)
      stack::AddFree(g.totals, totals, worth, false, SecondOfLife(start));
    }
    StackWritten(stack);
    g.recording.AppendEvent(thread.ordinal,
                            {.time_ns = start,
                             .address = sampled.address,
                             .size = size,
                             .allocated_ns = 0,
                             .weight = weight,
                             .stack = stack,
                             .thread = thread.thread_id,
                             .interval = interval,
                             .kind = static_cast<uint8_t>(wire::EventKind::kAllocate),
                             .domain = static_cast<uint8_t>(wire::Domain::kMalloc),
                             .reserved = 0,
                             .check = 0});
    ThinIfNearlyFull();
    BeginFileIfDue(start);
    ReleaseMirroredCode();
  }
  ControlInterval(start);
  MirrorHeader(start);
}

// A sampled block is gone: out of the totals, out of the mirror, its slot free for the next.
void Freed(const live::Block& block, uint32_t slot) {
  const OwnTime own_time(t_state);
  const uint64_t now = Now();
  stack::Interner::Use use(g.interner);
  const double weight = sampler::SampleWeight(block.size, block.interval);
  stack::AddFree(g.totals, g.interner.Totals(block.stack), stack::WorthOf(block.size, weight),
                 IsInherited(block), SecondOfLife(now));
  MirrorLiveSlot(slot);
  g.live.Release(slot);
  StackWritten(block.stack);
  g.recording.AppendEvent(t_state.ordinal,
                          {.time_ns = now,
                           .address = block.address,
                           .size = block.size,
                           .allocated_ns = block.time_ns,
                           .weight = weight,
                           .stack = block.stack,
                           .thread = t_state.thread_id,
                           .interval = block.interval,
                           .kind = static_cast<uint8_t>(wire::EventKind::kFree),
                           .domain = static_cast<uint8_t>(wire::Domain::kMalloc),
                           .reserved = 0,
                           .check = 0});
  MirrorHeader(now);
}

// While one is alive the thread's countdown is parked, so nothing it allocates is sampled.
class Guard {
 public:
  explicit Guard(ThreadState& thread) : thread_(thread), countdown_(thread.countdown), error_(errno) {
    thread_.guarded = true;
    thread_.countdown = kParked;
  }
  ~Guard() {
    thread_.countdown = countdown_;
    thread_.guarded = false;
    errno = error_;
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  void SetCountdown(uint64_t countdown) { countdown_ = countdown; }

 private:
  ThreadState& thread_;
  uint64_t countdown_;
  const int error_;
};

}  // namespace

__attribute__((noinline)) void* AllocatedSlow(void* block, size_t size) {
  ThreadState& thread = t_state;
  thread.countdown += size;  // as it was before Due()
  if (block == nullptr) return block;  // a failed call is no event
  if (thread.guarded || !g.ready.load(std::memory_order_acquire)) {
    // Before the constructor the next allocation asks again; where nothing is recorded, hardly ever.
    if (thread.guarded || g.options.disable) thread.countdown = kParked;
    return block;
  }
  Guard guard(thread);
  if (!IsOurs()) {
    guard.SetCountdown(g.interval.load(kRelaxed));
    return block;
  }
  if (thread.epoch != g.epoch.load(kRelaxed)) {
    SeedThread(thread);
    const uint64_t gap = NextGap(thread);
    if (gap >= size) {
      guard.SetCountdown(gap - size);
      return block;
    }
  }
  Sample(thread, block, size);
  guard.SetCountdown(NextGap(thread));
  return block;
}

__attribute__((noinline)) void FreeingSlow(void* block) {
  const Reallocation gone = BeginReallocation(block);
  if (gone.slot != live::kNoSlot) EndReallocation(gone, true);
}

Reallocation BeginReallocation(void* block) {
  Reallocation taken;
  taken.slot = live::kNoSlot;
  // Most that come here only share a slot of the filter with a sampled block.
  if (!g.live.Contains(reinterpret_cast<uintptr_t>(block))) return taken;
  Guard guard(t_state);
  if (IsOurs()) taken.slot = g.live.Take(reinterpret_cast<uintptr_t>(block), &taken.block);
  return taken;
}

void EndReallocation(const Reallocation& reallocation, bool freed) {
  Guard guard(t_state);
  if (freed) {
    Freed(reallocation.block, reallocation.slot);
    return;
  }
  // Back in, under a slot of its own: totals never changed.
  MirrorLiveSlot(reallocation.slot);
  g.live.Release(reallocation.slot);
  const uint32_t slot = g.live.Insert(reallocation.block);
  if (slot != live::kNoSlot) MirrorLiveSlot(slot);
}

// --- The process's life.

namespace {

// The most memory this program had resident. Not getrusage's word, which is carried over exec: a small tool that
// a large service runs would look large.
uint64_t PeakRssKiB() {
  char status[1536];
  recording::ReadSmallFile("/proc/self/status", status, sizeof status);
  const char* line = strstr(status, "VmHWM:");
  if (line == nullptr) return 0;
  for (line += strlen("VmHWM:"); *line == ' ' || *line == '\t'; ++line) {
  }
  return recording::ParseDecimal(line);
}

}  // namespace

void Initialize() {
  if (g.ready.load(kRelaxed)) return;
  const int error = errno;
  base::RememberStderr();
  char working_directory[512];
  recording::ReadLink("/proc/self/cwd", working_directory, sizeof working_directory);
  base::ReadOptions(secure_getenv, working_directory, &g.options);
  if (!g.options.disable && g.options.only[0] != '\0') {
    char command[64] = {};
    const size_t length = recording::ReadSmallFile("/proc/self/comm", command, sizeof command);
    if (length > 0 && command[length - 1] == '\n') command[length - 1] = '\0';
    g.options.disable = !base::IsSelected(g.options.only, command);
  }
  const char* whose = nullptr;
  if (!g.options.disable && MallocIsAnothers(&whose)) {
    base::Complain("not recording: malloc is that of ", whose[0] != '\0' ? whose : "the executable");
    g.options.disable = true;
  }
  if (!g.options.disable) {
    g.budget = recording::FitAddressSpace(recording::DecideBudget(g.options.budget, g.options.directory));
    if (g.budget == 0) {
      base::Complain("not recording: the address space is limited (RLIMIT_AS)");
      g.options.disable = true;
    }
  }
  if (!g.options.disable) {
    const recording::Layout layout = recording::LayoutFor(g.budget);
    stack::InitializeNativeUnwinder();
    stack::SetModuleSink(ModuleSeen);
    const bool whole =
        g.process.Initialize() && g.scratch.Initialize() && g.live.Initialize(layout.live) &&
        g.code.Initialize(layout.code_bytes, CodeWritten) &&
        g.interner.Initialize(layout.stacks, layout.native_nodes, layout.python_nodes,
                              {.native_node_written = NativeNodeWritten,
                               .python_node_written = PythonNodeWritten,
                               .stack_written = StackWritten});
    g.python.Initialize(g.options.python, PythonChanged);
    uint64_t interval = g.options.interval == base::kAuto ? sampler::kAutoFirst : g.options.interval;
    if (interval > sampler::kLargestInterval) interval = sampler::kLargestInterval;
    g.interval.store(interval, kRelaxed);
    g.smallest_interval.store(g.options.interval == base::kAuto ? sampler::kAutoSmallest : interval, kRelaxed);
    g.start_ns = Now();
    g.controlled_ns.store(g.start_ns, kRelaxed);
    g.epoch.store(1, kRelaxed);
    if (!whole) {
      base::Complain("not recording: no memory for its tables");
      g.options.disable = true;
    }
  }
  g.ready.store(!g.options.disable, std::memory_order_release);  // pairs with IsOurs
  errno = error;
}

void LibraryMayGo() {
  if (!g.ready.load(std::memory_order_acquire)) return;
  g.python.LibraryMayGo();
  stack::ModulesMayHaveChanged();
}

void LibraryWent() {
  if (!g.ready.load(std::memory_order_acquire)) return;
  stack::ModulesMayHaveChanged();
  g.python.LibraryWent();
}

void AfterForkInChild() {
  if (!g.ready.load(std::memory_order_acquire)) return;
  // Claimed at once, so that a vfork of this child's cannot be taken for the child; all else waits for the
  // first event, which a child that only execs never has.
  if (g.process.Ask() == ProcessState::kForked) {
    g.child_pending.store(true, kRelaxed);
    g.process.Claim();
  }
  t_state.guarded = false;
  t_state.countdown = 0;
}

void ProcessExits(int status) {
  if (!g.ready.load(std::memory_order_acquire) || g.process.Ask() != ProcessState::kOurs ||
      g.child_pending.load(kRelaxed)) {
    return;
  }
  const uint64_t now = Now();
  if (!g.options.keep_short && status == 0 && now - g.start_ns < kShortNs && PeakRssKiB() < kShortRssKiB) {
    g.recording.Remove();
    return;
  }
  MirrorHeader(now);
  g.recording.EndProcess(wire::ProcessEnd::kExited, status, now);
}

void ProcessExecs() {
  if (!g.ready.load(std::memory_order_acquire) || g.process.Ask() != ProcessState::kOurs ||
      g.child_pending.load(kRelaxed)) {
    return;
  }
  g.recording.EndProcess(wire::ProcessEnd::kExec, 0, Now());
}

void ExecFailed() {
  if (!g.ready.load(std::memory_order_acquire) || g.process.Ask() != ProcessState::kOurs ||
      g.child_pending.load(kRelaxed)) {
    return;
  }
  g.recording.EndProcess(wire::ProcessEnd::kRunning, 0, 0);
}

}  // namespace heapecho::hook

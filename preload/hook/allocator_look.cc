// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/allocator_look.h"

#include <signal.h>
#include <string.h>

#include <atomic>

#include "preload/base/syscalls.h"
#include "preload/hook/next.h"
#include "preload/hook/state.h"
#include "preload/hook/thread_state.h"
#include "preload/stack/capture_registers.h"
#include "preload/stack/modules.h"
#include "preload/stack/native_unwinder.h"

namespace heapecho::hook {
namespace {

constexpr uint64_t kTimesItsCpuTime = 1000;
constexpr uint64_t kTimesWhatItTook = 10;  // others may have had the processor, or the locks
constexpr uint64_t kQuickNs = 10 * kMillisecond;
constexpr uint64_t kShareOfLife = 8;
constexpr uint64_t kLongestPauseNs = 60 * kSecond;
// Less is what a process has anyway, in stacks and libraries' data.
constexpr uint64_t kWorthAsking = 4 << 20;

// glibc's struct mallinfo2, and the older one, whose words wrap around.
template <typename Word>
struct MallocInfo {
  Word arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

struct Words {
  MallocInfo<size_t> (*mallinfo2)();
  MallocInfo<unsigned> (*mallinfo)();
  int (*mallctl)(const char*, void*, size_t*, void*, size_t);
  uintptr_t start, end;  // of the allocator's own library; none for libc
};
constinit Words g_words = {};

// Written by whoever looks at memory, one thread at a time.
constinit std::atomic<uint64_t> g_kept = 0;
constinit std::atomic<bool> g_known = false;
constinit std::atomic<uint64_t> g_due_ns = 0;
constinit std::atomic<uint64_t> g_last_ns = 0;
constinit std::atomic<uint64_t> g_cpu_ns = 0;  // what it took the last time
constinit std::atomic<uint64_t> g_all_cpu_ns = 0;
constinit std::atomic<uint64_t> g_longest_ns = 0;
constinit std::atomic<uint64_t> g_count = 0;
constinit std::atomic<bool> g_locks_are_free = true;

// Whether this thread may wait for the allocator's locks. The header says why.
bool LocksAreNotOurs() {
  Scratch* const scratch = g_state.scratch.Take();
  if (scratch == nullptr) return false;
  stack::Registers registers;
  stack::CaptureRegisters(&registers);
  const stack::NativeWalk walk =
      stack::WalkNative(registers, t_state.bounds, scratch->native, wire::kMaxNativeFrames);
  bool within = false;
  for (uint32_t i = 0; i < walk.count; ++i) {
    within |= scratch->native[i].ip >= g_words.start && scratch->native[i].ip < g_words.end;
  }
  g_state.scratch.GiveBack(scratch);
  return !walk.broken && !walk.truncated && !walk.interrupted && !within;
}

// Holds signals back while it is alive.
class WithoutSignals {
 public:
  WithoutSignals() {
    uint64_t all = ~uint64_t{0};
    base::Syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof before_);
  }
  ~WithoutSignals() {
    base::Syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof before_);
  }
  WithoutSignals(const WithoutSignals&) = delete;
  WithoutSignals& operator=(const WithoutSignals&) = delete;

 private:
  uint64_t before_ = 0;
};

bool AskJemalloc(uint64_t* kept) {
  uint64_t epoch = 1;
  size_t allocated = 0, resident = 0;
  size_t length = sizeof epoch;
  if (g_words.mallctl("epoch", &epoch, &length, &epoch, sizeof epoch) != 0) return false;
  length = sizeof allocated;
  if (g_words.mallctl("stats.allocated", &allocated, &length, nullptr, 0) != 0) return false;
  length = sizeof resident;
  if (g_words.mallctl("stats.resident", &resident, &length, nullptr, 0) != 0) return false;
  *kept = resident > allocated ? resident - allocated : 0;
  return true;
}

bool Ask(uint64_t* kept) {
  if (g_words.mallctl != nullptr) return AskJemalloc(kept);
  if (g_words.mallinfo2 != nullptr) {
    *kept = g_words.mallinfo2().fordblks;
    return true;
  }
  // Its words hold four thousand million bytes.
  const auto info = g_words.mallinfo();
  *kept = info.fordblks;
  return info.arena >= info.fordblks;
}

bool CanBeAsked() {
  return g_words.mallctl != nullptr || g_words.mallinfo2 != nullptr || g_words.mallinfo != nullptr;
}

}  // namespace

void FindAllocatorsWord() {
  const char* const path = AllocatorPath();
  if (path == nullptr) return;
  const char* const slash = strrchr(path, '/');
  const char* const name = slash != nullptr ? slash + 1 : path;
  const auto find = [](const char* symbol, auto* function) {
    *function =
        reinterpret_cast<std::remove_reference_t<decltype(*function)>>(FindInAllocator(symbol));
    return *function;
  };
  // Other allocators have functions of these names too, which do not mean the same.
  if (strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-2", 6) == 0) {
    if (find("mallinfo2", &g_words.mallinfo2) == nullptr) find("mallinfo", &g_words.mallinfo);
  } else if (void* const function = reinterpret_cast<void*>(find("mallctl", &g_words.mallctl))) {
    stack::ModuleRangeOf(reinterpret_cast<uintptr_t>(function), &g_words.start, &g_words.end);
  }
}

bool AskAllocatorIfDue(uint64_t now, uint64_t unaccounted, uint64_t resident, bool is_last,
                       uint64_t* kept) {
  const bool is_due =
      now >= g_due_ns.load(kRelaxed) || (is_last && g_cpu_ns.load(kRelaxed) < kQuickNs);
  if (unaccounted < kWorthAsking || unaccounted < resident / 10) {
    g_known.store(false, kRelaxed);
  } else if (CanBeAsked() && is_due && g_locks_are_free.load(kRelaxed) && LocksAreNotOurs()) {
    uint64_t answer = 0;
    const uint64_t start = Now();
    const uint64_t cpu_start = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
    bool known;
    {
      const WithoutSignals without_signals;
      known = Ask(&answer);
    }
    const uint64_t took = Now() - start;
    const uint64_t cpu = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
    g_kept.store(answer, kRelaxed);
    g_known.store(known, kRelaxed);
    uint64_t pause = (now - g_state.start_ns) / kShareOfLife;
    if (pause > kLongestPauseNs) pause = kLongestPauseNs;
    if (pause < took * kTimesWhatItTook) pause = took * kTimesWhatItTook;
    if (pause < cpu * kTimesItsCpuTime) pause = cpu * kTimesItsCpuTime;
    g_cpu_ns.store(cpu, kRelaxed);
    g_all_cpu_ns.fetch_add(cpu, kRelaxed);
    g_due_ns.store(now + pause, kRelaxed);
    g_last_ns.store(now, kRelaxed);
    if (took > g_longest_ns.load(kRelaxed)) g_longest_ns.store(took, kRelaxed);
    g_count.fetch_add(1, kRelaxed);
  }
  *kept = g_kept.load(kRelaxed);
  return g_known.load(kRelaxed);
}

void AllocatorLookAfterFork(bool locks_are_free) {
  g_locks_are_free.store(locks_are_free, kRelaxed);
  g_known.store(false, kRelaxed);
  g_due_ns.store(0, kRelaxed);
  g_last_ns.store(0, kRelaxed);
  g_cpu_ns.store(0, kRelaxed);
  g_longest_ns.store(0, kRelaxed);
  g_count.store(0, kRelaxed);
}

AllocatorLooks AllocatorsLooks() {
  return {.last_ns = g_last_ns.load(kRelaxed),
          .longest_ns = g_longest_ns.load(kRelaxed),
          .count = g_count.load(kRelaxed),
          .cpu_ns = g_all_cpu_ns.load(kRelaxed)};
}

}  // namespace heapecho::hook

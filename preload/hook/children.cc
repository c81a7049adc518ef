// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/children.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/hook/guard.h"
#include "preload/hook/lifetime.h"
#include "preload/hook/mirror.h"
#include "preload/hook/state.h"
#include "preload/recording/cgroup.h"
#include "preload/recording/identity.h"
#include "preload/recording/notice.h"

namespace heapecho::hook {
namespace {

using recording::ChildLog;

// What the OOM killer's count was at the last look, and in which process's life that was.
struct OomKills {
  std::atomic<uint64_t> count;
  std::atomic<uint32_t> epoch;  // 0: never
};
constinit OomKills g_oom_kills = {};

// Too large for a caller's stack: mapped for the moment.
struct Scratch {
  recording::CgroupScratch cgroup;
  recording::NoticeScratch notice;
};

class MappedScratch {
 public:
  MappedScratch()
      : scratch_(static_cast<Scratch*>(base::MapPrivate(sizeof(Scratch), "heapecho children"))) {}
  ~MappedScratch() { base::Unmap(scratch_, sizeof(Scratch)); }
  MappedScratch(const MappedScratch&) = delete;
  MappedScratch& operator=(const MappedScratch&) = delete;
  Scratch* get() { return scratch_; }

 private:
  Scratch* scratch_;
};

bool LooksLikeOurs() { return g_state.ready.load(std::memory_order_acquire) && IsOurs(); }

// Puts what the kernel says now into `record`, beside what it said before.
void LookAtOomKills(recording::CgroupScratch& scratch, wire::ChildRecord* record) {
  const recording::CgroupMemory memory = recording::ReadCgroupMemory(scratch);
  const uint32_t epoch = g_state.epoch.load(kRelaxed);
  if (g_oom_kills.epoch.load(std::memory_order_acquire) == epoch) {  // pairs with the store below
    record->oom_kills_before = g_oom_kills.count.load(kRelaxed);
    record->flags |= wire::kOomKillsBeforeKnown;
  }
  record->cgroup_current = memory.current;
  record->cgroup_limit = memory.limit;
  if (!memory.oom_kills_known) return;
  record->oom_kills_after = memory.oom_kills;
  record->flags |= wire::kOomKillsAfterKnown;
  g_oom_kills.count.store(memory.oom_kills, kRelaxed);
  g_oom_kills.epoch.store(epoch, std::memory_order_release);
}

// Whether the signal is one that somebody sends to end a process; those that programs also use
// among themselves without an end in mind are none.
bool EndsProcesses(int signal) {
  constexpr int kSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL,  SIGTRAP, SIGABRT,
                              SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGTERM, SIGSYS};
  for (const int one : kSignals) {
    if (one == signal) return true;
  }
  return false;
}

uint64_t StartTicksOf(pid_t pid) {
  char path[40] = "/proc/";
  strcpy(recording::FormatDecimal(path + strlen(path), static_cast<uint64_t>(pid)), "/stat");
  char stat[512];
  return recording::ReadSmallFile(path, stat, sizeof stat) != 0 ? recording::StartTicks(stat) : 0;
}

void Publish(uint32_t slot, uint64_t now) {
  HearChildren();
  MirrorChild(slot);
  MirrorHeader(now);
  g_state.recording.WriteNow();  // a parent may sleep until it is killed itself
}

}  // namespace

uint64_t AboutToFork() {
  AboutToWait();
  constexpr uint64_t kTickNs = kSecond / 100;  // USER_HZ
  return recording::ClockNs(CLOCK_BOOTTIME) / kTickNs;
}

void Forked(pid_t child, uint64_t earliest_ticks) {
  if (g_state.ready.load(std::memory_order_acquire) &&
      g_state.process.Ask() == recording::ProcessState::kOurs) {
    g_state.children.NoteFork(static_cast<uint32_t>(child), earliest_ticks);
  }
}

void AboutToWait() {
  const auto looked = [] {
    return !g_state.ready.load(std::memory_order_acquire) ||
           (!g_state.child_pending.load(kRelaxed) &&
            g_oom_kills.epoch.load(kRelaxed) == g_state.epoch.load(kRelaxed));
  };
  if (looked()) return;
  const Guard guard(t_state);
  if (!LooksLikeOurs() || looked()) return;
  MappedScratch scratch;
  wire::ChildRecord unused = {};
  if (scratch.get() != nullptr) LookAtOomKills(scratch.get()->cgroup, &unused);
}

void Reaped(pid_t child, int status, uint64_t max_rss) {
  const Guard guard(t_state);
  if (!LooksLikeOurs()) return;
  const uint64_t now = Now();
  const bool killed = WIFSIGNALED(status);
  wire::ChildRecord record = {};
  record.time_ns = now;
  record.start_ticks = g_state.children.TakeFork(static_cast<uint32_t>(child));
  record.pid = child;
  record.status = status;
  record.max_rss = max_rss;
  record.kind = static_cast<uint32_t>(wire::ChildKind::kReaped);
  if (!killed) {
    Publish(g_state.children.Add(ChildLog::Ring::kExits, record), now);
    return;
  }
  MappedScratch scratch;
  if (scratch.get() != nullptr) LookAtOomKills(scratch.get()->cgroup, &record);
  const uint32_t slot = g_state.children.Add(ChildLog::Ring::kKills, record);
  BeginFile(now);
  Publish(slot, now);
  if (g_state.options.notice && scratch.get() != nullptr) {
    const bool signalled = g_state.children.Signalled(child, WTERMSIG(status));
    recording::TellOfKill(record, signalled, g_state.options.directory, scratch.get()->notice);
  }
}

SignalNote AboutToSignal(pid_t target, int signal) {
  if (!EndsProcesses(signal)) return {};
  const Guard guard(t_state);
  if (!LooksLikeOurs()) return {};
  const uint64_t now = Now();
  wire::ChildRecord record = {};
  record.time_ns = now;
  record.start_ticks = target > 0 ? StartTicksOf(target) : 0;
  record.pid = target;
  record.status = signal;
  record.kind = static_cast<uint32_t>(wire::ChildKind::kSignalled);
  const uint32_t slot = g_state.children.Add(ChildLog::Ring::kSignals, record);
  Publish(slot, now);
  return {.sequence = g_state.children.SequenceAt(slot), .slot = slot};
}

void SignalFailed(const SignalNote& note) {
  if (note.sequence == 0) return;
  const Guard guard(t_state);
  if (!LooksLikeOurs()) return;
  g_state.children.MarkFailed(note.slot, note.sequence);
  MirrorChild(note.slot);
  g_state.recording.WriteNow();
}

pid_t ProcessOfPidfd(int pidfd, int signal) {
  if (!EndsProcesses(signal) || pidfd < 0) return 0;
  char path[48] = "/proc/self/fdinfo/";
  *recording::FormatDecimal(path + strlen(path), static_cast<uint64_t>(pidfd)) = '\0';
  char text[512];
  recording::ReadSmallFile(path, text, sizeof text);
  constexpr char kWord[] = "\nPid:\t";
  const char* found = strstr(text, kWord);
  return found != nullptr ? static_cast<pid_t>(recording::ParseDecimal(found + strlen(kWord))) : 0;
}

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/mirror.h"

#include <gnu/libc-version.h>
#include <string.h>

#include "preload/base/counters.h"
#include "preload/base/log.h"
#include "preload/base/syscalls.h"
#include "preload/hook/memory_look.h"
#include "preload/hook/arrow.h"
#include "preload/hook/next.h"
#include "preload/hook/ranges.h"
#include "preload/hook/state.h"
#include "preload/hook/tasks.h"
#include "preload/hook/threads.h"
#include "preload/sampler/poisson.h"

namespace heapecho::hook {
namespace {

// When a file begins (design: what lives shorter and allocates less is the noise of a container).
constexpr uint64_t kBeginBytes = 1 << 20;
constexpr uint64_t kBeginNs = kSecond;

void NativeNodeWritten(uint32_t node) {
  g_state.recording.MirrorNativeNode(node, g_state.interner.native_nodes().Record(node));
}

void PythonNodeWritten(uint32_t node) {
  g_state.recording.MirrorPythonNode(node, g_state.interner.python_nodes().Record(node));
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

// The log of code from its beginning. What is being written there now is mirrored by who writes it,
// who has either given it its length before this looks, or finds the recording active.
void MirrorCode() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const char* const log = g_state.code.log();
  for (size_t at = 0, end = g_state.code.log_bytes(); at + sizeof(wire::CodeRecord) <= end;) {
    const uint32_t bytes =
        __atomic_load_n(reinterpret_cast<const uint32_t*>(log + at), __ATOMIC_ACQUIRE);
    if (bytes != 0) CodeWritten(at, bytes);
    at += bytes != 0 ? bytes : 8;
  }
}

// What others refer to first: a kill in the middle leaves a recording that is short, not one without names.
void MirrorEverything() {
  stack::ForEachModule([](const stack::Module& module, void*) { ModuleSeen(module); }, nullptr);
  MirrorCode();
  for (uint32_t node = 1; node < g_state.interner.native_nodes().used(); ++node) {
    NativeNodeWritten(node);
  }
  for (uint32_t node = 1; node < g_state.interner.python_nodes().used(); ++node) {
    PythonNodeWritten(node);
  }
  for (uint32_t stack = 0; stack < g_state.interner.used(); ++stack) StackWritten(stack);
  for (uint32_t slot = 0; slot < g_state.live.capacity(); ++slot) {
    live::Block block;
    if (g_state.live.Look(slot, &block)) MirrorLiveSlot(slot);
  }
  for (uint32_t record = 0; record < g_state.thread_table.used(); ++record) ThreadWritten(record);
  for (uint32_t slot = 0; slot < recording::ChildLog::kSlots; ++slot) MirrorChild(slot);
  MirrorRanges();
}

// This process cannot be recorded, or no longer: whoever it came from may say so.
void TellParent(const char* what, int error) {
  char text[recording::ChildBoard::kTextRoom] = "process ";
  char* out = recording::FormatDecimal(
      text + strlen(text), static_cast<uint64_t>(base::Syscall(SYS_getpid)));
  constexpr char kUser[] = " (user ";
  memcpy(out, kUser, sizeof kUser - 1);
  out = recording::FormatDecimal(out + sizeof kUser - 1,
                                 static_cast<uint64_t>(base::Syscall(SYS_geteuid)));
  constexpr char kMost[] = "): its directory ";
  memcpy(out, kMost, sizeof kMost - 1);
  out += sizeof kMost - 1;
  const size_t room = static_cast<size_t>(text + sizeof text - out) - 32;  // for the number
  const size_t length = strnlen(what, room);
  memcpy(out, what, length);
  out += length;
  if (error != 0) {
    constexpr char kErrno[] = " (errno ";
    memcpy(out, kErrno, sizeof kErrno - 1);
    out = recording::FormatDecimal(out + sizeof kErrno - 1, static_cast<uint64_t>(error));
    *out++ = ')';
  }
  *out = '\0';
  g_state.board.Tell(text);
}

}  // namespace

// What children told becomes notes of this recording, as many as are of use to a reader.
void HearChildren() {
  constexpr uint32_t kMostNotes = 16;
  if (!g_state.board.HasNews() || !g_state.recording.active()) return;
  g_state.board.ForEachNew([](const char* text) {
    HEAPECHO_COUNT(children_not_recorded);
    if (g_state.notes_of_children.fetch_add(1, kRelaxed) >= kMostNotes) return;
    char note[recording::ChildBoard::kTextRoom + 32] = "a child is not recorded: ";
    strcat(note, text);
    g_state.recording.AppendIdentity(wire::IdentityKey::kNote, note);
  });
}

stack::InternSink MirrorOfStacks() {
  return {.native_node_written = NativeNodeWritten,
          .python_node_written = PythonNodeWritten,
          .stack_written = StackWritten,
          .count_held = CountHeldByTasks};
}

void CodeWritten(size_t offset, size_t bytes) {
  g_state.recording.MirrorCode(offset, g_state.code.log() + offset, bytes);
}

// A recording that begins later has it among its facts.
void PythonChanged(wire::IdentityKey key, const char* text) {
  g_state.recording.AppendIdentity(key, text);
}

void StackWritten(uint32_t stack) {
  g_state.recording.MirrorStack(stack, &g_state.interner.Totals(stack));
}

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
  g_state.recording.AppendModule(record, module.build_id, module.path);
}

// What the file says of a slot becomes what the live set says. Threads that mirror one slot at a
// time may pass each other, so each looks again whether what it wrote still is the truth.
void MirrorLiveSlot(uint32_t slot) {
  uint64_t version = g_state.live.Version(slot);
  for (;;) {
    live::Block block;
    if (g_state.live.Look(slot, &block)) {
      g_state.recording.MirrorLive(slot, LiveRecordOf(block));
    } else {
      g_state.recording.ClearLive(slot);
    }
    std::atomic_thread_fence(
        std::memory_order_seq_cst);  // what was written is seen before this is read
    const uint64_t now = g_state.live.Version(slot);
    if (now == version) return;
    version = now;
  }
}

void MirrorHeader(uint64_t now) {
  wire::FileHeader* header = g_state.recording.header();
  if (header == nullptr) return;
  const auto store = [](auto& word, auto value) {
    __atomic_store_n(&word, value, __ATOMIC_RELAXED);
  };
  const auto store_double = [](double& word, double value) {
    __atomic_store(&word, &value, __ATOMIC_RELAXED);
  };
  store(header->last_event_ns, now);
  store(header->interval_now, g_state.interval.load(kRelaxed));
  store(header->threads_seen, g_state.threads.load(kRelaxed));
  store(header->threads_at_most, g_state.threads_at_most.load(kRelaxed));
  store(header->own_ns, g_state.own_ns.load(kRelaxed));
  store(header->cpu_ns, g_state.cpu_ns.load(kRelaxed));
  store(header->python_arena_bytes, g_state.python_arena_bytes.load(kRelaxed));
  const stack::ProcessTotals& totals = g_state.totals;
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

void MirrorChild(uint32_t slot) {
  wire::ChildRecord record;
  if (g_state.children.Look(slot, &record)) g_state.recording.MirrorChild(slot, record);
}

void BeginFileIfDue(uint64_t now) {
  if (g_state.file.load(kRelaxed) != kFileDue) return;
  if (!g_state.options.keep_short && now - g_state.start_ns < kBeginNs &&
      g_state.totals.allocated_bytes.load(kRelaxed) < kBeginBytes * wire::kFixedPointOne) {
    return;
  }
  BeginFile(now);
}

void BeginFile(uint64_t now) {
  const stack::Interner::Use use(g_state.interner);
  if (use.folding()) return;  // what would be mirrored is being changed; the next one begins it
  const uint64_t start = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
  uint32_t due = kFileDue;
  if (!g_state.file.compare_exchange_strong(due, kFileRefused, kRelaxed))
    return;  // another thread is at it
  const char* const walk = g_state.python.verdict();
  size_t arrows = 0;
  while (ArrowFact(arrows) != nullptr) ++arrows;
  const char* const domain = g_state.python_domain.settled() ? g_state.python_domain.verdict() : nullptr;
  const recording::Trouble trouble =
      g_state.recording.Begin({.directory = g_state.options.directory,
                               .budget = g_state.budget,
                               .keep = g_state.options.keep,
                               .map = g_state.options.map,
                               .interval_configured = g_state.options.interval,
                               .process_start_ns = g_state.start_ns,
                               .forked_at_ns = g_state.has_parent ? g_state.forked_at_ns : 0,
                               .parent_id = g_state.has_parent ? g_state.parent_id : nullptr,
                               .facts = {.libc_version = gnu_get_libc_version(),
                                         .allocator_path = AllocatorPath(),
                                         .library_version = HEAPECHO_VERSION,
                                         .python_version = g_state.python.version(),
                                         .python_walk = walk,
                                         .arrow = ArrowFact,
                                         .python_domain = domain}});
  if (trouble.what != nullptr) {
    char number[32] = " (errno ";
    *recording::FormatDecimal(number + strlen(number), static_cast<uint64_t>(trouble.error)) = ')';
    base::Complain("not recording: ", g_state.options.directory, " ", trouble.what,
                   trouble.error != 0 ? number : nullptr);
    TellParent(trouble.what, trouble.error);
    return;
  }
  if (walk == nullptr && g_state.python.verdict() != nullptr) {  // decided meanwhile
    PythonChanged(wire::IdentityKey::kPythonWalk, g_state.python.verdict());
  }
  while (const char* const fact = ArrowFact(arrows++)) {
    g_state.recording.AppendIdentity(wire::IdentityKey::kArrow, fact);
  }
  if (domain == nullptr && g_state.python_domain.settled()) {
    PythonChanged(wire::IdentityKey::kPythonDomain, g_state.python_domain.verdict());
  }
  MirrorEverything();
  // Once in a life: no event stands for it, and the automatic interval cannot change it.
  const uint64_t took = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - start;
  g_state.own_ns.fetch_add(took, kRelaxed);
  g_state.controlled_own_ns.fetch_add(took, kRelaxed);
  LookAtMemory(now);
  MirrorHeader(now);
  WriteFileIfDue(now);
  g_state.file.store(kFileBegun, std::memory_order_release);  // pairs with ReleaseMirroredCode
}

void WriteFileIfDue(uint64_t now) {
  if (!g_state.recording.IsWriteDue(now)) return;
  const uint64_t start = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID);
  g_state.recording.WriteDue(now);
  if (!g_state.recording.active()) TellParent("can no longer be written to", g_state.recording.end_error());
  // As with looks at memory: the automatic interval decides about samples.
  const uint64_t took = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - start;
  g_state.own_ns.fetch_add(took, kRelaxed);
  g_state.controlled_own_ns.fetch_add(took, kRelaxed);
}

// Records of code are in the file for good; only before it begins is there need of another copy.
void ReleaseMirroredCode() {
  if (g_state.file.load(std::memory_order_acquire) == kFileBegun && g_state.recording.active())
    g_state.code.Release();
}

}  // namespace heapecho::hook

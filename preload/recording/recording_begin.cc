// SPDX-License-Identifier: Apache-2.0
// How a recording begins: the budget, the file, the memory that is mirrored into, and the first
// words.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/recording/procfs.h"
#include "preload/recording/recording.h"
#include "preload/recording/retention.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;
using wire::SectionKind;

constexpr auto kRelaxed = std::memory_order_relaxed;

// The event ring knows its memory, not its file.
constinit Recording* g_ring_owner = nullptr;

bool PresentForRing(void* address, size_t bytes, bool again) {
  return g_ring_owner->MakeBlockPresent(address, bytes, again);
}

}  // namespace

uint64_t DecideBudget(uint64_t configured, const char* directory) {
  if (configured != 0) return configured;
  auto* scratch =
      static_cast<IdentityScratch*>(base::MapPrivate(sizeof(IdentityScratch), "heapecho identity"));
  if (scratch == nullptr) return kSmallestBudget;
  uint64_t budget = kDefaultBudget;
  if (const uint64_t limit = CgroupMemoryLimit(scratch->cgroup)) {
    if (limit / 100 < budget) budget = limit / 100;
  }
  base::Unmap(scratch, sizeof *scratch);
  if (budget > kLargestTmpfsBudget && IsOnTmpfs(directory)) budget = kLargestTmpfsBudget;
  return budget < kSmallestBudget ? kSmallestBudget : budget;
}

uint64_t FitAddressSpace(uint64_t budget) {
  rlimit64 limit = {};
  Syscall(SYS_prlimit64, 0, RLIMIT_AS, nullptr, &limit);
  if (limit.rlim_cur == RLIM64_INFINITY) return budget;
  // The tables beside the file are at most as large as it, and scratch buffers and the like are of
  // one size.
  constexpr uint64_t kFixed = 4 << 20;
  const uint64_t share = limit.rlim_cur / 8;
  if (share < kFixed + 2 * kSmallestBudget) return 0;
  const uint64_t most = (share - kFixed) / 2;
  return budget < most ? budget : most;
}

Trouble Recording::Begin(const Beginning& beginning) {
  Trouble trouble = PrepareDirectory(beginning.directory);
  if (trouble.what != nullptr) return trouble;
  if (!MakeRoom(beginning.directory, beginning.keep)) {
    return {.what = "holds more than HEAPECHO_KEEP, and nothing in it may go", .error = 0};
  }
  auto* scratch =
      static_cast<IdentityScratch*>(base::MapPrivate(sizeof(IdentityScratch), "heapecho identity"));
  if (scratch == nullptr) return {.what = "no memory to begin", .error = ENOMEM};

  const uint64_t start_ns =
      ClockNs(CLOCK_REALTIME) - (ClockNs(CLOCK_MONOTONIC) - beginning.process_start_ns);
  const int fd = CreateRecordingFile(beginning.directory, start_ns, path_, sizeof path_, &trouble);
  if (fd >= 0) {
    layout_ = LayoutFor(beginning.budget);
    trouble = TakeFile(fd, beginning.map);
    int error = 0;
    if (trouble.what == nullptr) {
      if (!Fill(beginning, *scratch)) error = ENOSPC;
      if (error == 0 && pages_.attached()) error = pages_.WriteAllTo(fd);
      if (error != 0) trouble = {.what = "has no room", .error = error};
    }
    if (trouble.what == nullptr) trouble = PublishRecordingFile(path_, scratch->path);
    Syscall(SYS_close, fd);
    if (trouble.what != nullptr) {
      pages_.Detach();
      base::Unmap(memory_, layout_.file_size);
      memory_ = nullptr;
      Syscall(SYS_unlinkat, AT_FDCWD, path_, 0);
    }
  }
  base::Unmap(scratch, sizeof(IdentityScratch));
  if (trouble.what != nullptr) return trouble;
  active_.store(true, std::memory_order_release);  // pairs with active()
  // Where the file is written, it has them by the round.
  if (!pages_.attached()) base::ShowCountersAt(&Counters()->value);
  return {};
}

// Gives the file its size, and memory_ to mirror into.
Trouble Recording::TakeFile(int fd, bool map) {
  keeping_ = !map                ? wire::Keeping::kAsked
             : IsMappingSafe(fd) ? wire::Keeping::kMapped
                                 : wire::Keeping::kWritten;
  if (keeping_ != wire::Keeping::kMapped) AskForWritingInPlace(fd);
  // Growing a file past RLIMIT_FSIZE would raise a signal in the application.
  rlimit64 limit = {};
  Syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, nullptr, &limit);
  long result = -EFBIG;
  if (limit.rlim_cur >= layout_.file_size) result = Syscall(SYS_ftruncate, fd, layout_.file_size);
  if (Failed(result))
    return {.what = "takes no file of that size", .error = static_cast<int>(-result)};
  if (keeping_ == wire::Keeping::kMapped) {
    const Trouble trouble = MapFile(fd);
    if (trouble.what != nullptr || memory_ != nullptr) return trouble;
    keeping_ = wire::Keeping::kWritten;
  }
  return KeepPrivately(fd);
}

// Without trouble and without memory_: a mapping is not what it should be here.
Trouble Recording::MapFile(int fd) {
  char* const memory = static_cast<char*>(base::MapShared(fd, layout_.file_size));
  if (memory == nullptr) return {};
  int error = base::PopulateShared(memory, base::kPageSize);
  // Linux before 5.14 cannot make single blocks present: the whole file is reserved at once.
  bool reserved = false;
  if (error == EINVAL) {
    const long result = Syscall(SYS_fallocate, fd, 0, 0, layout_.file_size);
    error = Failed(result) ? static_cast<int>(-result) : 0;
    reserved = true;
  }
  // What is stored into the mapping must be what others read: overlayfs has not always kept that.
  bool same = error == 0;
  if (same) {
    constexpr uint64_t kProbe = 0x6563686f70726f62;
    uint64_t stored = 0;
    __atomic_store_n(reinterpret_cast<uint64_t*>(memory), kProbe, __ATOMIC_SEQ_CST);
    Syscall(SYS_pread64, fd, &stored, sizeof stored, 0);
    same = stored == kProbe;
    __atomic_store_n(reinterpret_cast<uint64_t*>(memory), 0, __ATOMIC_SEQ_CST);
  }
  if (same) {
    memory_ = memory;
    for (auto& chunk : present_) {
      if (reserved) chunk.store(1, kRelaxed);
    }
    return {};
  }
  base::Unmap(memory, layout_.file_size);
  if (error == 0 || error == EOPNOTSUPP) return {};
  return {.what = "has no room", .error = error == EFAULT ? ENOSPC : error};
}

Trouble Recording::KeepPrivately(int fd) {
  // What a forked child needs lies before the stacks: the id, and the log of Python code.
  const uint64_t kept = layout_.Find(SectionKind::kStacks).offset;
  static_assert(SectionKind::kPythonCode < SectionKind::kStacks);
  memory_ = static_cast<char*>(
      base::MapWipedInChild(layout_.file_size, layout_.file_size - kept, "heapecho recording"));
  if (memory_ == nullptr) return {.what = "no memory to begin", .error = ENOMEM};
  uint64_t* const complete_to = &reinterpret_cast<wire::FileHeader*>(memory_)->events_complete_ns;
  if (!pages_.Attach(memory_, layout_.file_size, layout_.Find(SectionKind::kEvents).offset,
                     complete_to, fd))
    return {.what = "its file cannot be asked for", .error = 0};
  // Always there: no page of it needs to be asked for.
  for (uint64_t chunk = 0; chunk <= layout_.file_size / kChunk; ++chunk)
    present_[chunk].store(1, kRelaxed);
  // The last words of a recording that ends because the disk is full must find room.
  const long result = Syscall(SYS_fallocate, fd, 0, 0, layout_.Find(SectionKind::kModules).offset);
  if (result == -ENOSPC || result == -EDQUOT)
    return {.what = "has no room", .error = static_cast<int>(-result)};
  return {};
}

bool Recording::Fill(const Beginning& beginning, IdentityScratch& scratch) {
  const wire::Section& events = layout_.Find(SectionKind::kEvents);
  const uint64_t head = layout_.Find(SectionKind::kModules).offset;  // header, identity, counters
  if (!MakePresent(memory_, head)) return false;
  native_nodes_ = SectionAt(SectionKind::kNativeNodes);
  python_nodes_ = SectionAt(SectionKind::kPythonNodes);
  stacks_ = SectionAt(SectionKind::kStacks);
  live_ = SectionAt(SectionKind::kLive);
  threads_ = SectionAt(SectionKind::kThreads);
  module_bytes_.store(0, kRelaxed);
  g_ring_owner = this;
  ring_.Attach(memory_ + events.offset, events.size, layout_.block_bytes, PresentForRing);

  // Put together in ordinary memory, since `scratch` has served when the words are known.
  auto& header = *reinterpret_cast<wire::FileHeader*>(memory_);
  header.version = wire::kVersion;
  header.header_size = wire::kHeaderSize;
  header.file_size = layout_.file_size;
  FillRandom(header.id, sizeof header.id);
  if (beginning.parent_id != nullptr)
    memcpy(header.parent_id, beginning.parent_id, sizeof header.parent_id);
  FillProcessWords(header, scratch);
  header.process_start_ns = beginning.process_start_ns;
  header.begin_ns = ClockNs(CLOCK_MONOTONIC);
  header.begin_realtime_ns = ClockNs(CLOCK_REALTIME);
  header.begin_boottime_ns = ClockNs(CLOCK_BOOTTIME);
  header.forked_at_ns = beginning.forked_at_ns;
  header.interval_configured = beginning.interval_configured;
  header.budget = layout_.file_size;
  header.section_count = layout_.section_count;
  header.last_event_ns = header.begin_ns;
  header.keeping = static_cast<uint32_t>(keeping_);
  memcpy(header.sections, layout_.sections, layout_.section_count * sizeof(wire::Section));

  const wire::Section& identity = layout_.Find(SectionKind::kIdentity);
  identity_bytes_.store(static_cast<uint32_t>(CollectIdentity(
                            beginning.facts, scratch, memory_ + identity.offset, identity.size)),
                        kRelaxed);
  Commit(SectionKind::kIdentity, identity_bytes_.load(kRelaxed));
  wire::CounterRecord* const counters = Counters();
  for (size_t i = 0; i < base::kCounterCount; ++i) {
    strncpy(counters[i].name, base::kCounterNames[i], sizeof counters[i].name - 1);
  }
  Commit(SectionKind::kCounters, base::kCounterCount);
  // Blocks of events say by their headers whether they are in use, and are holes until then.
  Commit(SectionKind::kEvents, events.size / layout_.block_bytes);
  pages_.Changed(memory_, head);

  // The magic last: without it the file has not begun.
  wire::FileHeader copy = header;
  copy.magic = wire::kMagic;
  uint64_t words[offsetof(wire::FileHeader, static_check) / 8];
  memcpy(words, &copy, sizeof words);
  header.static_check = wire::CheckWords(words, sizeof words / 8, wire::kMagic);
  __atomic_store_n(&header.magic, wire::kMagic, __ATOMIC_RELEASE);
  return true;
}

}  // namespace heapecho::recording

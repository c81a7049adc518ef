// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/recording/procfs.h"
#include "preload/recording/retention.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;
using wire::SectionKind;

constexpr auto kRelaxed = std::memory_order_relaxed;

// The event ring knows its memory, not its file.
constinit Recording* g_ring_owner = nullptr;

bool PresentForRing(void* address, size_t bytes) { return g_ring_owner->MakePresent(address, bytes); }

template <typename T>
void Store(T& word, T value) {
  __atomic_store_n(&word, value, __ATOMIC_RELAXED);
}

void StoreWords(void* to, const void* from, size_t words) {
  auto* target = static_cast<uint64_t*>(to);
  for (size_t i = 0; i < words; ++i) {
    uint64_t word;
    memcpy(&word, static_cast<const char*>(from) + i * 8, 8);
    __atomic_store_n(&target[i], word, __ATOMIC_RELAXED);
  }
}

// Two threads that mirror one record may pass each other: whoever stores last must have read last, so each looks again
// whether what it stored still is the truth.
void MirrorLiveWords(void* to, const void* from, size_t words) {
  auto* target = static_cast<uint64_t*>(to);
  const auto* source = static_cast<const uint64_t*>(from);
  for (size_t i = 0; i < words; ++i) {
    uint64_t word = __atomic_load_n(&source[i], __ATOMIC_ACQUIRE);
    for (;;) {
      __atomic_store_n(&target[i], word, __ATOMIC_SEQ_CST);
      const uint64_t now = __atomic_load_n(&source[i], __ATOMIC_SEQ_CST);
      if (now == word) break;
      word = now;
    }
  }
}

}  // namespace

uint64_t DecideBudget(uint64_t configured, const char* directory) {
  if (configured != 0) return configured;
  auto* scratch = static_cast<IdentityScratch*>(
      base::MapPrivate(sizeof(IdentityScratch), "heapecho identity"));
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
  // The tables beside the file are at most as large as it, and scratch buffers and the like are of one size.
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
  auto* scratch = static_cast<IdentityScratch*>(
      base::MapPrivate(sizeof(IdentityScratch), "heapecho identity"));
  if (scratch == nullptr) return {.what = "no memory to begin", .error = ENOMEM};

  const uint64_t start_ns = ClockNs(CLOCK_REALTIME) - (ClockNs(CLOCK_MONOTONIC) - beginning.process_start_ns);
  const int fd = CreateRecordingFile(beginning.directory, start_ns, path_, sizeof path_, &trouble);
  if (fd >= 0) {
    trouble = CheckFileSystem(fd);
    if (trouble.what == nullptr) {
      layout_ = LayoutFor(beginning.budget);
      // Growing a file past RLIMIT_FSIZE would raise a signal in the application.
      rlimit64 limit = {};
      Syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, nullptr, &limit);
      long result = -EFBIG;
      if (limit.rlim_cur >= layout_.file_size) result = Syscall(SYS_ftruncate, fd, layout_.file_size);
      if (Failed(result)) trouble = {.what = "takes no file of that size", .error = static_cast<int>(-result)};
    }
    if (trouble.what == nullptr) {
      memory_ = static_cast<char*>(base::MapShared(fd, layout_.file_size));
      if (memory_ == nullptr) trouble = {.what = "takes no mapped file", .error = ENOMEM};
    }
    if (trouble.what == nullptr) {
      int error = base::PopulateShared(memory_, base::kPageSize);
      // Linux before 5.14 cannot make single blocks present: the whole file is reserved at once.
      if (error == EINVAL) {
        const long result = Syscall(SYS_fallocate, fd, 0, 0, layout_.file_size);
        error = Failed(result) ? static_cast<int>(-result) : 0;
        for (auto& chunk : present_) chunk.store(1, kRelaxed);
      }
      // What is stored into the mapping must be what others read: overlayfs has not always kept that.
      uint64_t stored = 0;
      if (error == 0) {
        constexpr uint64_t kProbe = 0x6563686f70726f62;
        __atomic_store_n(reinterpret_cast<uint64_t*>(memory_), kProbe, __ATOMIC_SEQ_CST);
        Syscall(SYS_pread64, fd, &stored, sizeof stored, 0);
        if (stored != kProbe) error = EIO;
        __atomic_store_n(reinterpret_cast<uint64_t*>(memory_), 0, __ATOMIC_SEQ_CST);
      }
      if (error != 0) {
        trouble = {.what = "has no room", .error = error == EFAULT ? ENOSPC : error};
      } else if (!Fill(beginning, *scratch)) {
        trouble = {.what = "has no room", .error = ENOSPC};
      } else {
        trouble = PublishRecordingFile(path_, scratch->path);
      }
    }
    Syscall(SYS_close, fd);
    if (trouble.what != nullptr) {
      base::Unmap(memory_, layout_.file_size);
      memory_ = nullptr;
      Syscall(SYS_unlinkat, AT_FDCWD, path_, 0);
    }
  }
  base::Unmap(scratch, sizeof(IdentityScratch));
  if (trouble.what == nullptr) active_.store(true, std::memory_order_release);  // pairs with active()
  return trouble;
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
  if (beginning.parent_id != nullptr) memcpy(header.parent_id, beginning.parent_id, sizeof header.parent_id);
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
  memcpy(header.sections, layout_.sections, layout_.section_count * sizeof(wire::Section));

  const wire::Section& identity = layout_.Find(SectionKind::kIdentity);
  identity_bytes_.store(static_cast<uint32_t>(CollectIdentity(beginning.facts, scratch,
                                                              memory_ + identity.offset, identity.size)),
                        kRelaxed);
  Commit(SectionKind::kIdentity, identity_bytes_.load(kRelaxed));
  auto* counters = reinterpret_cast<wire::CounterRecord*>(SectionAt(SectionKind::kCounters));
  for (size_t i = 0; i < base::kCounterCount; ++i) {
    strncpy(counters[i].name, base::kCounterNames[i], sizeof counters[i].name - 1);
  }
  Commit(SectionKind::kCounters, base::kCounterCount);
  // Blocks of events say by their headers whether they are in use, and are holes until then.
  Commit(SectionKind::kEvents, events.size / layout_.block_bytes);

  // The magic last: without it the file has not begun.
  wire::FileHeader copy = header;
  copy.magic = wire::kMagic;
  uint64_t words[offsetof(wire::FileHeader, static_check) / 8];
  memcpy(words, &copy, sizeof words);
  header.static_check = wire::CheckWords(words, sizeof words / 8, wire::kMagic);
  __atomic_store_n(&header.magic, wire::kMagic, __ATOMIC_RELEASE);
  return true;
}

bool Recording::MakePresent(const void* address, size_t bytes) {
  const size_t begin = static_cast<size_t>(static_cast<const char*>(address) - memory_);
  for (size_t chunk = begin / kChunk; chunk <= (begin + bytes - 1) / kChunk; ++chunk) {
    if (present_[chunk].load(std::memory_order_acquire) != 0) continue;  // pairs with the store below
    const size_t offset = chunk * kChunk;
    const size_t length = layout_.file_size - offset < kChunk ? layout_.file_size - offset : kChunk;
    const int error = base::PopulateShared(memory_ + offset, length);
    if (error != 0) {
      End(error == EFAULT || error == ENOSPC || error == EDQUOT ? wire::RecordingEnd::kDiskFull
                                                                : wire::RecordingEnd::kIoError,
          error);
      return false;
    }
    present_[chunk].store(1, std::memory_order_release);
  }
  return true;
}

void Recording::End(wire::RecordingEnd why, int error) {
  if (!active_.exchange(false, std::memory_order_acq_rel)) return;
  auto& header = *reinterpret_cast<wire::FileHeader*>(memory_);
  Store(header.recording_end_errno, error);
  Store(header.recording_end_ns, ClockNs(CLOCK_MONOTONIC));
  Store(header.recording_end, static_cast<uint32_t>(why));
}

wire::FileHeader* Recording::header() {
  return active() ? reinterpret_cast<wire::FileHeader*>(memory_) : nullptr;
}

void Recording::Commit(SectionKind kind, uint64_t at_least) {
  auto& header = *reinterpret_cast<wire::FileHeader*>(memory_);
  for (uint32_t i = 0; i < layout_.section_count; ++i) {
    if (layout_.sections[i].kind != static_cast<uint32_t>(kind)) continue;
    uint64_t& committed = header.sections[i].committed;
    uint64_t now = __atomic_load_n(&committed, __ATOMIC_RELAXED);
    while (now < at_least && !__atomic_compare_exchange_n(&committed, &now, at_least, true,
                                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    }
    return;
  }
}

void Recording::MirrorNode(SectionKind kind, char* nodes, uint32_t node, const wire::NodeRecord& record) {
  char* target = nodes + size_t{node} * sizeof record;
  if (!MakePresent(target, sizeof record)) return;
  auto& out = *reinterpret_cast<wire::NodeRecord*>(target);
  Store(out.location_low, record.location_low);
  Store(out.location_high, record.location_high);
  Store(out.parent, record.parent);
  Commit(kind, node + 1);
}

void Recording::MirrorNativeNode(uint32_t node, const wire::NodeRecord& record) {
  if (!active() || node >= layout_.native_nodes) return;
  MirrorNode(SectionKind::kNativeNodes, native_nodes_, node, record);
}

void Recording::MirrorPythonNode(uint32_t node, const wire::NodeRecord& record) {
  if (!active() || node >= layout_.python_nodes) return;
  MirrorNode(SectionKind::kPythonNodes, python_nodes_, node, record);
}

void Recording::MirrorStack(uint32_t stack, const void* words) {
  if (!active() || stack >= layout_.stacks) return;
  char* target = stacks_ + size_t{stack} * sizeof(wire::StackRecord);
  if (!MakePresent(target, sizeof(wire::StackRecord))) return;
  MirrorLiveWords(target, words, sizeof(wire::StackRecord) / 8);
  Commit(SectionKind::kStacks, stack + 1);
}

void Recording::MirrorThread(uint32_t index, const wire::ThreadRecord& words) {
  if (!active() || index >= layout_.threads) return;
  char* target = threads_ + size_t{index} * sizeof words;
  if (!MakePresent(target, sizeof words)) return;
  constexpr size_t kWords = sizeof words / 8;
  MirrorLiveWords(target + 8, reinterpret_cast<const char*>(&words) + 8, kWords - 1);
  MirrorLiveWords(target, &words, 1);  // with its thread it is a record
  Commit(SectionKind::kThreads, index + 1);
}

void Recording::MirrorLive(uint32_t slot, const wire::LiveRecord& record) {
  if (!active() || slot >= layout_.live) return;
  char* target = live_ + size_t{slot} * sizeof record;
  if (!MakePresent(target, sizeof record)) return;
  wire::LiveRecord whole = record;
  whole.check = wire::CheckOf(whole, slot);
  auto* out = reinterpret_cast<wire::LiveRecord*>(target);
  __atomic_store_n(&out->check, 0, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  StoreWords(out, &whole, sizeof whole / 8 - 1);
  __atomic_store_n(&out->check, whole.check, __ATOMIC_RELEASE);
  Commit(SectionKind::kLive, slot + 1);
}

void Recording::ClearLive(uint32_t slot) {
  if (!active() || slot >= layout_.live) return;
  auto* out = reinterpret_cast<wire::LiveRecord*>(live_ + size_t{slot} * sizeof(wire::LiveRecord));
  if (!MakePresent(out, sizeof *out)) return;
  __atomic_store_n(&out->check, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&out->address, 0, __ATOMIC_RELAXED);
}

void Recording::MirrorChild(uint32_t slot, const wire::ChildRecord& record) {
  if (!active()) return;
  char* target = SectionAt(SectionKind::kChildren) + size_t{slot} * sizeof record;
  if (!MakePresent(target, sizeof record)) return;
  auto* out = reinterpret_cast<wire::ChildRecord*>(target);
  __atomic_store_n(&out->check, 0, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  StoreWords(out, &record, sizeof record / 8 - 1);
  __atomic_store_n(&out->check, record.check, __ATOMIC_RELEASE);
  Commit(SectionKind::kChildren, slot + 1);
}

char* Recording::Append(SectionKind kind, std::atomic<uint32_t>& used, size_t bytes, size_t* end) {
  const wire::Section& section = layout_.Find(kind);
  uint32_t at = used.load(kRelaxed);
  do {
    if (bytes > section.size - at) return nullptr;
  } while (!used.compare_exchange_weak(at, at + static_cast<uint32_t>(bytes), kRelaxed));
  char* target = memory_ + section.offset + at;
  *end = at + bytes;
  return MakePresent(target, bytes) ? target : nullptr;
}

void Recording::AppendModule(const wire::ModuleRecord& record, const void* build_id, const char* path) {
  if (!active()) return;
  const size_t length = base::RoundUp(sizeof record + record.build_id_length + record.path_length, 8);
  size_t end;
  char* const target = Append(SectionKind::kModules, module_bytes_, length, &end);
  if (target == nullptr) {
    HEAPECHO_COUNT(modules_dropped);
    return;
  }
  wire::ModuleRecord whole = record;
  whole.length = static_cast<uint32_t>(length);
  memcpy(target + 8, reinterpret_cast<const char*>(&whole) + 8, sizeof whole - 8);
  memcpy(target + sizeof whole, build_id, record.build_id_length);
  memcpy(target + sizeof whole + record.build_id_length, path, record.path_length);
  // The length makes it a record; a reader stops at the first that has none.
  uint64_t first;
  memcpy(&first, &whole, 8);
  __atomic_store_n(reinterpret_cast<uint64_t*>(target), first, __ATOMIC_RELEASE);
  Commit(SectionKind::kModules, end);
}

void Recording::MirrorCode(size_t offset, const char* records, size_t bytes) {
  if (!active()) return;
  const wire::Section& section = layout_.Find(SectionKind::kPythonCode);
  if (offset > section.size || bytes > section.size - offset) return;
  char* const target = memory_ + section.offset + offset;
  if (!MakePresent(target, bytes)) return;
  StoreWords(target + 8, records + 8, bytes / 8 - 1);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  StoreWords(target, records, 1);  // its length makes it a record
  Commit(SectionKind::kPythonCode, offset + bytes);
}

void Recording::AppendIdentity(wire::IdentityKey key, const char* text) {
  if (!active()) return;
  size_t end;
  char* const target =
      Append(SectionKind::kIdentity, identity_bytes_, WriteIdentity(key, text, nullptr), &end);
  if (target == nullptr) return;
  WriteIdentity(key, text, target);
  Commit(SectionKind::kIdentity, end);
}

char* Recording::HistorySlot(uint32_t slot) {
  if (!active() || slot >= layout_.history_slots) return nullptr;
  char* const target = SectionAt(SectionKind::kHistory) + size_t{slot} * layout_.history_slot_bytes;
  if (!MakePresent(target, layout_.history_slot_bytes)) return nullptr;
  Commit(SectionKind::kHistory, slot + 1);
  return target;
}

void Recording::MirrorCounters() {
  if (!active()) return;
  auto* counters = reinterpret_cast<wire::CounterRecord*>(SectionAt(SectionKind::kCounters));
  for (size_t i = 0; i < base::kCounterCount; ++i) {
    Store(counters[i].value, base::g_counters[i].load(kRelaxed));
  }
}

void Recording::EndProcess(wire::ProcessEnd end, int32_t status, uint64_t now_ns) {
  if (memory_ == nullptr) return;  // also after the recording itself has ended: page 0 is present
  MirrorCounters();
  auto& header = *reinterpret_cast<wire::FileHeader*>(memory_);
  Store(header.exit_status, status);
  Store(header.process_end_ns, now_ns);
  __atomic_store_n(&header.process_end, static_cast<uint32_t>(end), __ATOMIC_RELEASE);
}

void Recording::Remove() {
  if (memory_ == nullptr) return;
  active_.store(false, std::memory_order_release);
  Syscall(SYS_unlinkat, AT_FDCWD, path_, 0);
}

const char* Recording::CodeLog(size_t bytes) {
  if (memory_ == nullptr) return nullptr;
  const char* const log = memory_ + layout_.Find(SectionKind::kPythonCode).offset;
  return base::PopulateForReading(log, bytes) ? log : nullptr;
}

bool Recording::Abandon(uint8_t* id) {
  active_.store(false, kRelaxed);
  if (memory_ == nullptr) return false;
  // The id is in the parent's file, which may be read: it was written once, before the fork.
  memcpy(id, reinterpret_cast<const wire::FileHeader*>(memory_)->id, 16);
  base::Unmap(memory_, layout_.file_size);
  memory_ = nullptr;
  for (auto& chunk : present_) chunk.store(0, kRelaxed);
  return true;
}

}  // namespace heapecho::recording

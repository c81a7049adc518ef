// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;
using wire::SectionKind;

constexpr auto kRelaxed = std::memory_order_relaxed;

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

// A record that is valid by its last word: never with another's.
template <typename Record>
void StoreChecked(char* to, const Record& record) {
  auto* const out = reinterpret_cast<Record*>(to);
  __atomic_store_n(&out->check, 0, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  StoreWords(out, &record, sizeof record / 8 - 1);
  __atomic_store_n(&out->check, record.check, __ATOMIC_RELEASE);
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

bool Recording::MakeBlockPresent(const void* block, size_t bytes, bool again) {
  if (again && pages_.attached()) {
    pages_.Overwritten();
    if (pages_.IsChanged(block, bytes)) HEAPECHO_COUNT(event_blocks_not_kept);
  }
  return MakePresent(block, bytes);
}

void Recording::End(wire::RecordingEnd why, int error) {
  if (!active_.exchange(false, std::memory_order_acq_rel)) return;
  auto& header = *reinterpret_cast<wire::FileHeader*>(memory_);
  Store(header.recording_end_errno, error);
  Store(header.recording_end_ns, ClockNs(CLOCK_MONOTONIC));
  Store(header.recording_end, static_cast<uint32_t>(why));
  pages_.WriteFirst(path_);
}

void Recording::EndByWriting(int error) {
  End(error == ENOSPC || error == EDQUOT ? wire::RecordingEnd::kDiskFull : wire::RecordingEnd::kIoError, error);
}

int Recording::end_error() const {
  if (memory_ == nullptr) return 0;
  return __atomic_load_n(&reinterpret_cast<const wire::FileHeader*>(memory_)->recording_end_errno, __ATOMIC_RELAXED);
}

bool Recording::IsWriteDue(uint64_t now_ns) const {
  return pages_.attached() && active() && pages_.IsDue(now_ns);
}

void Recording::WriteDue(uint64_t now_ns) {
  StorePause();
  bool finished;
  const int error = pages_.WriteDue(path_, now_ns, &finished);
  if (error != 0) return EndByWriting(error);
  if (!finished) return;
  // Events that are in the file need not be in memory.
  ring_.ForEachFullBlock([this](char* block, size_t bytes) {
    if (pages_.IsChanged(block, bytes)) return false;
    base::Forget(block, bytes);
    return true;
  });
}

void Recording::WriteNow() {
  if (!pages_.attached() || !active() || pages_.pause_ns() > PageWriter::kShortestPauseNs) return;
  constexpr uint64_t kMostNs = 50000000;
  StorePause();
  if (const int error = pages_.WriteAll(path_, kMostNs)) EndByWriting(error);
}

void Recording::StorePause() {
  auto& header = *reinterpret_cast<wire::FileHeader*>(memory_);
  Store(header.write_pause_ns, pages_.apart_ns());
  Store(header.write_longest_ns, pages_.longest_ns());
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
  pages_.Changed(target, sizeof record);
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
  pages_.Changed(target, sizeof(wire::StackRecord));
  Commit(SectionKind::kStacks, stack + 1);
}

void Recording::MirrorThread(uint32_t index, const wire::ThreadRecord& words) {
  if (!active() || index >= layout_.threads) return;
  char* target = threads_ + size_t{index} * sizeof words;
  if (!MakePresent(target, sizeof words)) return;
  constexpr size_t kWords = sizeof words / 8;
  MirrorLiveWords(target + 8, reinterpret_cast<const char*>(&words) + 8, kWords - 1);
  MirrorLiveWords(target, &words, 1);  // with its thread it is a record
  pages_.Changed(target, sizeof words);
  Commit(SectionKind::kThreads, index + 1);
}

void Recording::MirrorLive(uint32_t slot, const wire::LiveRecord& record) {
  if (!active() || slot >= layout_.live) return;
  char* target = live_ + size_t{slot} * sizeof record;
  if (!MakePresent(target, sizeof record)) return;
  wire::LiveRecord whole = record;
  whole.check = wire::CheckOf(whole, slot);
  StoreChecked(target, whole);
  pages_.Changed(target, sizeof whole);
  Commit(SectionKind::kLive, slot + 1);
}

void Recording::ClearLive(uint32_t slot) {
  if (!active() || slot >= layout_.live) return;
  auto* out = reinterpret_cast<wire::LiveRecord*>(live_ + size_t{slot} * sizeof(wire::LiveRecord));
  if (!MakePresent(out, sizeof *out)) return;
  __atomic_store_n(&out->check, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&out->address, 0, __ATOMIC_RELAXED);
  pages_.Changed(out, sizeof *out);
}

void Recording::MirrorRange(uint32_t slot, const wire::RangeRecord& record) {
  if (!active() || slot >= layout_.ranges) return;
  char* const target = SectionAt(SectionKind::kRanges) + size_t{slot} * sizeof record;
  if (!MakePresent(target, sizeof record)) return;
  wire::RangeRecord whole = record;
  whole.check = wire::CheckOf(whole, slot);
  StoreChecked(target, whole);
  pages_.Changed(target, sizeof whole);
  Commit(SectionKind::kRanges, slot + 1);
}

void Recording::ClearRange(uint32_t slot) {
  if (!active() || slot >= layout_.ranges) return;
  auto* const out =
      reinterpret_cast<wire::RangeRecord*>(SectionAt(SectionKind::kRanges) + size_t{slot} * sizeof(wire::RangeRecord));
  if (!MakePresent(out, sizeof *out)) return;
  __atomic_store_n(&out->check, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&out->start, 0, __ATOMIC_RELAXED);
  pages_.Changed(out, sizeof *out);
}

void Recording::MirrorChild(uint32_t slot, const wire::ChildRecord& record) {
  if (!active()) return;
  char* target = SectionAt(SectionKind::kChildren) + size_t{slot} * sizeof record;
  if (!MakePresent(target, sizeof record)) return;
  StoreChecked(target, record);
  pages_.Changed(target, sizeof record);
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
  pages_.Changed(target, length);
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
  pages_.Changed(target, bytes);
  Commit(SectionKind::kPythonCode, offset + bytes);
}

void Recording::AppendIdentity(wire::IdentityKey key, const char* text) {
  if (!active()) return;
  size_t end;
  char* const target =
      Append(SectionKind::kIdentity, identity_bytes_, WriteIdentity(key, text, nullptr), &end);
  if (target == nullptr) return;
  pages_.Changed(target, WriteIdentity(key, text, target));
  Commit(SectionKind::kIdentity, end);
}

void Recording::HistoryWritten(uint32_t slot) {
  if (memory_ == nullptr) return;
  pages_.Changed(SectionAt(SectionKind::kHistory) + size_t{slot} * layout_.history_slot_bytes,
                 layout_.history_slot_bytes);
}

char* Recording::HistorySlot(uint32_t slot) {
  if (!active() || slot >= layout_.history_slots) return nullptr;
  char* const target = SectionAt(SectionKind::kHistory) + size_t{slot} * layout_.history_slot_bytes;
  if (!MakePresent(target, layout_.history_slot_bytes)) return nullptr;
  Commit(SectionKind::kHistory, slot + 1);
  return target;
}

void Recording::MirrorCounters() {
  if (!active() || !pages_.attached()) return;  // else they are there already
  wire::CounterRecord* const counters = Counters();
  for (size_t i = 0; i < base::kCounterCount; ++i) {
    Store(counters[i].value, base::g_counters[i].load(kRelaxed));
  }
  pages_.Changed(counters, base::kCounterCount * sizeof *counters);
}

void Recording::EndProcess(wire::ProcessEnd end, int32_t status, uint64_t now_ns) {
  if (memory_ == nullptr) return;  // also after the recording itself has ended: page 0 is present
  MirrorCounters();
  auto& header = *reinterpret_cast<wire::FileHeader*>(memory_);
  Store(header.exit_status, status);
  Store(header.process_end_ns, now_ns);
  __atomic_store_n(&header.process_end, static_cast<uint32_t>(end), __ATOMIC_RELEASE);
  if (!pages_.attached()) return;
  if (!active()) {
    pages_.WriteFirst(path_);
    return;
  }
  constexpr uint64_t kMostNs = 1000000000;
  StorePause();
  if (const int error = pages_.WriteAll(path_, kMostNs)) EndByWriting(error);
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
  pages_.Detach();
  base::ShowCountersAt(nullptr);
  base::Unmap(memory_, layout_.file_size);
  memory_ = nullptr;
  for (auto& chunk : present_) chunk.store(0, kRelaxed);
  return true;
}

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// The recording file of this process: begun once, mirrored into at each event, readable at any instant.
//
// Private memory elsewhere is the truth; the file only mirrors it, word by word, through one shared mapping
// whose descriptor is closed. So the parent's file is never needed after fork, and a page fault of the file
// touches no hot word. Every block is made present before it is stored to (memory.h, PopulateShared); when
// that fails the recording ends with that word and the application goes on.
//
// Where a mapping is not safe, or not wanted, the same memory is private and its changed pages are written
// (page_writer.h): whatever stores into it says so afterwards, but for the header, which is written each time.
// A SIGKILL then costs what came after the last writing; events may be further behind. Those that have been written are let go of, so that what
// this takes is about a third of the file. A forked child gets the first part alone, which has what it reads
// (CodeLog, Abandon); the rest the kernel wipes for it, and so copies nothing when the parent goes on.
//
// Thread-safe and signal-safe but for Begin() and Abandon(), which one thread calls at a time. Nothing here
// waits. Zero-initialised: not begun, every call does nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/base/counters.h"
#include "preload/buffer/event_ring.h"
#include "preload/recording/directory.h"
#include "preload/recording/identity.h"
#include "preload/recording/layout.h"
#include "preload/recording/page_writer.h"
#include "preload/wire/format.h"

namespace heapecho::recording {

// What Begin() needs to know.
struct Beginning {
  const char* directory;
  uint64_t budget;  // bytes; what LayoutFor() of it says is what the private tables hold too
  uint64_t keep;    // bytes of disk for the directory
  bool map;         // where it is safe
  uint64_t interval_configured;
  uint64_t process_start_ns;
  uint64_t forked_at_ns;      // 0: not by fork
  const uint8_t* parent_id;   // 16 bytes, or null
  StaticFacts facts;
};

// The budget for recordings in `directory`: as configured, or for 0 the smaller of the default and 1 % of the
// cgroup's memory limit, less on tmpfs. Once, before the tables are made.
uint64_t DecideBudget(uint64_t configured, const char* directory);

// The budget that leaves a program whose address space is limited (RLIMIT_AS) seven eighths of it, since mapped
// tables and file count whether they are touched or not; 0: not even the smallest does.
uint64_t FitAddressSpace(uint64_t budget);

class Recording {
 public:
  // Creates the file, maps it, writes who we are. On trouble there is no file and the caller complains.
  Trouble Begin(const Beginning& beginning);

  // Being mirrored into. False before Begin() and after the end.
  bool active() const { return active_.load(std::memory_order_acquire); }

  // The tables that this file has room for; what lies beyond is not mirrored. Valid once begun.
  const Layout& layout() const { return layout_; }

  void MirrorNativeNode(uint32_t node, const wire::NodeRecord& record);
  void MirrorPythonNode(uint32_t node, const wire::NodeRecord& record);
  // `words`: the live words of a wire::StackRecord, which other threads may be changing: what the file says
  // afterwards is what they said at some moment since the call began.
  void MirrorStack(uint32_t stack, const void* words);
  void MirrorLive(uint32_t slot, const wire::LiveRecord& record);  // sets check
  void ClearLive(uint32_t slot);
  void MirrorRange(uint32_t slot, const wire::RangeRecord& record);  // sets check; one thread at a time
  void ClearRange(uint32_t slot);
  // `bytes` of the log of Python code, whole records, at `offset` of it: they go to the same place in the file.
  void MirrorCode(size_t offset, const char* records, size_t bytes);
  // `words`: the live words of a record, as MirrorStack() has them.
  void MirrorThread(uint32_t index, const wire::ThreadRecord& words);
  // What was learnt about the process after the file had begun.
  void AppendIdentity(wire::IdentityKey key, const char* text);
  void AppendModule(const wire::ModuleRecord& record, const void* build_id, const char* path);
  void AppendEvent(uint32_t thread, const wire::EventRecord& event) {
    if (!active()) return;
    if (const char* const place = ring_.Write(thread, event)) pages_.Changed(place, sizeof event);
  }
  // For a file that is written; a mapped one has them at every moment.
  void MirrorCounters();
  // `record` as ChildLog::Look() gave it, with its check.
  void MirrorChild(uint32_t slot, const wire::ChildRecord& record);

  // The errno by which the recording ended; 0: it goes on, or there was none.
  int end_error() const;

  // Where the point of the history in this slot stands, present; null where it cannot be written to.
  char* HistorySlot(uint32_t slot);
  void HistoryWritten(uint32_t slot);

  // Where the file is written: whether it is time to go on with that; goes on; writes what there is, since the next event
  // may be far away (not where that is slow). Else they do nothing.
  bool IsWriteDue(uint64_t now_ns) const;
  void WriteDue(uint64_t now_ns);
  void WriteNow();

  // The header's words after static_check, for the caller to store into; null while not active.
  wire::FileHeader* header();

  // How the process ends. kRunning takes an exec word back. A file that is written has everything then, if that
  // takes less than a second.
  void EndProcess(wire::ProcessEnd end, int32_t status, uint64_t now_ns);

  // Removes the file: a short process's, which nobody wants.
  void Remove();

  // The first `bytes` of the log of Python code as the file has it; null where there is none, or they cannot be read.
  const char* CodeLog(size_t bytes);

  // In a forked child: this is the parent's file. Unmaps it, touches nothing in it; `id` gets its id if it
  // was begun (16 bytes), else stays as it is. Returns whether it was.
  bool Abandon(uint8_t* id);

  // Gives file pages a true answer to "may I store there?". Ends the recording when not.
  bool MakePresent(const void* address, size_t bytes);
  // The same of a block of events, for their ring. `again`: those that it holds are overwritten, and counted where the
  // file never had them.
  bool MakeBlockPresent(const void* block, size_t bytes, bool again);

 private:
  static constexpr size_t kChunk = 64 << 10;

  void End(wire::RecordingEnd why, int error);
  void EndByWriting(int error);
  void StorePause();
  Trouble TakeFile(int fd, bool map);
  Trouble MapFile(int fd);
  Trouble KeepPrivately(int fd);
  char* SectionAt(wire::SectionKind kind) { return memory_ + layout_.Find(kind).offset; }
  wire::CounterRecord* Counters() {
    static_assert(sizeof(wire::CounterRecord) == base::kCounterRecordWords * sizeof(uint64_t));
    return reinterpret_cast<wire::CounterRecord*>(SectionAt(wire::SectionKind::kCounters));
  }
  void Commit(wire::SectionKind kind, uint64_t at_least);
  // Room for `bytes` at the end of a log; null (and the log stays as it is) when there is none.
  char* Append(wire::SectionKind kind, std::atomic<uint32_t>& used, size_t bytes, size_t* end);
  void MirrorNode(wire::SectionKind kind, char* nodes, uint32_t node, const wire::NodeRecord& record);
  bool Fill(const Beginning& beginning, IdentityScratch& scratch);

  char* memory_ = nullptr;
  wire::Keeping keeping_ = wire::Keeping::kMapped;
  Layout layout_ = {};
  // Offsets of the sections that events touch, found once.
  char* native_nodes_ = nullptr;
  char* python_nodes_ = nullptr;
  char* stacks_ = nullptr;
  char* live_ = nullptr;
  char* threads_ = nullptr;
  std::atomic<bool> active_;
  std::atomic<uint32_t> module_bytes_;
  std::atomic<uint32_t> identity_bytes_;
  std::atomic<uint8_t> present_[kLargestBudget / kChunk + 1];
  buffer::EventRing ring_;
  PageWriter pages_;  // attached where the file is written
  char path_[704] = {};
};

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/range_look.h"

#include <string.h>

#include <atomic>

#include "preload/base/memory.h"
#include "preload/hook/range_events.h"
#include "preload/hook/ranges.h"
#include "preload/hook/state.h"
#include "preload/recording/residency.h"
#include "preload/stack/elf_image.h"
#include "preload/stack/maps_reader.h"
#include "preload/stack/modules.h"

namespace heapecho::hook {
namespace {

using pools::Range;
using pools::RangeKind;
using stack::MapsLine;

constexpr uint32_t kMostLines = 1 << 16;  // the kernel allows no more by default
constexpr uintptr_t kEndOfUserSpace = uintptr_t{1} << 47;

// glibc's: an arena begins at a multiple of this, and what of it is in use can be read and written.
constexpr uintptr_t kArena = 64 << 20;
constexpr size_t kLargestGuard = 64 << 10;

// When it was looked last, and what that cost: the next time is so many times that away, and a
// pause at least.
class Pace {
 public:
  constexpr Pace(uint64_t pause_ns, uint64_t time_per_look)
      : pause_ns_(pause_ns), time_per_look_(time_per_look) {}
  bool IsDue(uint64_t now, bool is_last) const {
    const uint64_t last = looked_ns_.load(kRelaxed);
    const uint64_t passed = now > last ? now - last : 0;
    return is_last || last == 0 ||
           (passed >= pause_ns_ && passed >= cost_ns_.load(kRelaxed) * time_per_look_);
  }
  void Looked(uint64_t now, uint64_t cost_ns) {
    looked_ns_.store(now, kRelaxed);
    cost_ns_.store(cost_ns, kRelaxed);
  }
  void ForgetLast() { looked_ns_.store(0, kRelaxed); }

 private:
  const uint64_t pause_ns_, time_per_look_;
  std::atomic<uint64_t> looked_ns_ = 0, cost_ns_ = 0;
};
constinit Pace g_maps{10 * kSecond, 1000};
constinit Pace g_pages{kSecond, 10000};

// One of them, while it lasts: CPU time, for its pace and among the library's own.
class Look {
 public:
  Look(Pace& pace, uint64_t now)
      : pace_(pace), now_(now), start_(recording::ClockNs(CLOCK_THREAD_CPUTIME_ID)) {}
  ~Look() {
    const uint64_t cost = recording::ClockNs(CLOCK_THREAD_CPUTIME_ID) - start_;
    pace_.Looked(now_, cost);
    g_state.own_ns.fetch_add(cost, kRelaxed);
    g_state.controlled_own_ns.fetch_add(cost, kRelaxed);
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;

 private:
  Pace& pace_;
  const uint64_t now_, start_;
};

bool StartsWith(const MapsLine& line, const char* prefix) {
  const size_t length = strlen(prefix);
  return line.path_length >= length && memcmp(line.path, prefix, length) == 0;
}

bool Contains(const MapsLine& line, const char* text) {
  return memmem(line.path, line.path_length, text, strlen(text)) != nullptr;
}

bool HasNoAccess(const MapsLine& line) {
  return !line.readable && !line.writable && !line.executable;
}

// What the lines so far say of the next one.
class Classifier {
 public:
  Classifier(uint64_t now) : now_(now) {
    stack::ModuleRangeOf(reinterpret_cast<uintptr_t>(&LookAtRangesIfDue), &own_start_, &own_end_);
  }

  Range Classify(const MapsLine& line) {
    Range range = {};
    range.start = line.start;
    range.length = line.end - line.start;
    range.time_ns = now_;
    range.domain = pools::kNobodysDomain;
    range.kind = KindOf(line);
    const bool heap = range.kind == RangeKind::kBrkHeap || range.kind == RangeKind::kAnonymous;
    if (heap && MallocMapsUnseen()) {
      range.domain = static_cast<uint8_t>(wire::Domain::kMalloc);
      range.flags = pools::kRangeReserve;
    }
    if (range.kind == RangeKind::kAnonymous && HasNoAccess(line))
      range.flags |= pools::kRangeMeasured;
    if (line.path_length != 0 && line.offset == 0) {
      header_ = line.start;
      header_bytes_ = range.length;
      zeroed_end_ = 0;
    }
    end_ = line.end;
    kind_ = range.kind;
    writable_ = line.writable;
    guard_ = line.path_length == 0 && HasNoAccess(line) && range.length <= kLargestGuard;
    return range;
  }

  // How far the line that comes next is a library's zeroed data, which the kernel may show as one with the memory that a
  // program has mapped behind it (glibc an arena of 64 MiB). Its start: nothing of it is.
  uintptr_t EndOfZeroedData(const MapsLine& line) {
    if (line.path_length != 0 || line.inode != 0 || line.start != end_ || !writable_ || kind_ != RangeKind::kFile) {
      return line.start;
    }
    if (zeroed_end_ == 0) {
      stack::ElfExtent extent;
      zeroed_end_ = stack::ReadElfExtent(header_, header_bytes_, &extent) ? extent.end : line.start;
    }
    return zeroed_end_ < line.start ? line.start : zeroed_end_ < line.end ? zeroed_end_ : line.end;
  }

  // Whether the last one may be what guards a stack above it.
  bool IsGuard() const { return guard_; }

 private:
  RangeKind KindOf(const MapsLine& line) {
    if (line.start < own_end_ && line.end > own_start_) return RangeKind::kOwn;
    const bool joined = line.start == end_;
    if (line.path_length == 0) {
      if (base::IsOwnMemory(line.start)) return RangeKind::kOwn;
      // This library's is within its range.
      if (EndOfZeroedData(line) == line.end) return RangeKind::kFile;
      if (joined && guard_ && line.writable && line.start % kArena != 0) return RangeKind::kStack;
      return RangeKind::kAnonymous;
    }
    if (line.path[0] == '[') {
      if (StartsWith(line, "[heap]")) return RangeKind::kBrkHeap;
      if (StartsWith(line, "[stack")) return RangeKind::kStack;
      if (StartsWith(line, "[anon:heapecho")) return RangeKind::kOwn;
      if (StartsWith(line, "[anon:")) return RangeKind::kAnonymous;
      if (StartsWith(line, "[anon_shmem:")) return RangeKind::kShared;
      return RangeKind::kKernel;
    }
    if (Contains(line, ".heapecho")) return RangeKind::kOwn;
    if (StartsWith(line, "/dev/zero") || StartsWith(line, "/memfd:") ||
        StartsWith(line, "/dev/shm/") || StartsWith(line, "/SYSV")) {
      return RangeKind::kShared;
    }
    return StartsWith(line, "/") ? RangeKind::kFile : RangeKind::kKernel;
  }

  const uint64_t now_;
  uintptr_t own_start_ = 0, own_end_ = 0;
  // Of the file that was met last, and where its zeroed data ends; 0: not looked up yet.
  uintptr_t header_ = 0;
  size_t header_bytes_ = 0;
  uintptr_t zeroed_end_ = 0;
  uintptr_t end_ = 0;
  RangeKind kind_ = RangeKind::kNone;
  bool writable_ = false;
  bool guard_ = false;
};

// Brings the lines into the table, each as what it is.
class Sweeper {
 public:
  Sweeper(uint64_t now, pools::RangeTable& table) : classifier_(now), table_(table) { table_.BeginSweep(); }

  void Take(MapsLine line) {
    const uintptr_t zeroed_end = classifier_.EndOfZeroedData(line);
    if (zeroed_end > line.start && zeroed_end < line.end) {
      MapsLine zeroed = line;
      zeroed.end = line.start = zeroed_end;
      TakeWhole(zeroed);
    }
    TakeWhole(line);
  }
  void End(bool whole) {
    if (held_.length != 0) table_.Sweep(held_);
    if (whole) table_.EndSweep();
  }

 private:
  void TakeWhole(const MapsLine& line) {
    const Range range = classifier_.Classify(line);
    if (held_.length != 0) {
      if (range.kind == RangeKind::kStack && range.start == held_.end()) {
        held_.kind = range.kind;
        held_.domain = range.domain;
        held_.flags = range.flags;
      }
      table_.Sweep(held_);
      held_.length = 0;
    }
    if (classifier_.IsGuard()) {
      held_ = range;
    } else {
      table_.Sweep(range);
    }
  }

  Classifier classifier_;
  pools::RangeTable& table_;
  Range held_ = {};  // what may guard a stack, until what is above it says whether it does
};

void Read(char* buffer, uint64_t now, pools::RangeTable& table) {
  stack::MapsReader reader(buffer);
  Sweeper sweeper(now, table);
  MapsLine line;
  for (uint32_t lines = 0; reader.Next(&line);) {
    if (line.end > kEndOfUserSpace) continue;  // vsyscall
    if (++lines > kMostLines) return;
    sweeper.Take(line);
  }
  sweeper.End(reader.AtEnd());
}

// Where the last look at the ranges that are used page by page stopped, in the middle of one.
struct Cursor {
  constexpr Cursor() = default;
  constexpr Cursor(uintptr_t of, uintptr_t next) : start(of) { residency.next = next; }
  uintptr_t start = 0;  // of the range
  recording::Residency residency = {};
};
constinit Cursor g_cursor = {};  // of whoever looks; LookAtMemory lets one in at a time

// Goes round the ranges that are used page by page, a millisecond a time.
void Measure(char* buffer, uint64_t now) {
  recording::PagemapReader pages(buffer);
  const uint64_t deadline = now + kMillisecond;
  Range range;
  uintptr_t at = g_cursor.start;
  bool around = at != 0;  // it did not begin at the beginning
  for (;;) {
    const NextRangeIs next = NextRange(at, &range);
    if (next == NextRangeIs::kBusy) return;
    if (next == NextRangeIs::kNone) {
      g_cursor = {};
      if (!around) return;
      around = false;
      at = 0;
      continue;
    }
    at = range.end();
    if ((range.flags & pools::kRangeMeasured) == 0 || range.weight == 0) continue;
    if (g_cursor.start != range.start || g_cursor.residency.next >= range.end()) {
      g_cursor = Cursor(range.start, range.start);
    }
    recording::Residency& residency = g_cursor.residency;
    if (!pages.Read(residency.next, range.end(), deadline, &residency)) return;
    if (residency.next < range.end()) return;
    {
      RangesForOneself ranges;
      if (!ranges) return;
      const uint64_t counted = residency.present + residency.swapped;
      Range grown;
      if (const uint64_t more =
              ranges.table().Measure(range.start, range.length, counted, now, &grown)) {
        MappingGrew(grown, more);
      }
    }
    g_cursor = Cursor(range.end(), UINTPTR_MAX);
    if (Now() >= deadline) return;
  }
}

}  // namespace

void LookAtRangesIfDue(uint64_t now, bool is_last) {
  const bool maps = g_maps.IsDue(now, is_last), pages = g_pages.IsDue(now, is_last);
  if (!maps && !pages) return;
  static_assert(recording::PagemapReader::kBufferSize <= stack::MapsReader::kBufferSize);
  auto* const buffer =
      static_cast<char*>(base::MapPrivate(stack::MapsReader::kBufferSize, "heapecho maps"));
  if (buffer == nullptr) return;
  if (maps) {
    PassOverStuckChanges();
    RangesForOneself ranges;
    if (ranges) {
      const Look look(g_maps, now);
      Read(buffer, now, ranges.table());
    }
  }
  if (pages) {
    const Look look(g_pages, now);
    Measure(buffer, Now());
  }
  base::Unmap(buffer, stack::MapsReader::kBufferSize);
}

void RangeLookAfterFork() {
  g_maps.ForgetLast();
  g_pages.ForgetLast();
  g_cursor = {};
}

}  // namespace heapecho::hook

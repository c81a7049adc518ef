// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/ranges.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <atomic>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/hook/arrow.h"
#include "preload/hook/guard.h"
#include "preload/hook/lifetime.h"
#include "preload/hook/memory_look.h"
#include "preload/hook/mirror.h"
#include "preload/hook/next.h"
#include "preload/hook/range_events.h"
#include "preload/hook/state.h"
#include "preload/pools/range_changes.h"
#include "preload/stack/modules.h"

namespace heapecho::hook {
namespace {

using pools::Range;
using pools::RangeChange;
using pools::RangeKind;
using pools::RangeLog;
using Kind = RangeChange::Kind;

constexpr bool Agree(RangeKind kind, wire::RangeKind other) {
  return static_cast<uint8_t>(kind) == static_cast<uint8_t>(other);
}
static_assert(Agree(RangeKind::kAnonymous, wire::RangeKind::kAnonymous) &&
              Agree(RangeKind::kShared, wire::RangeKind::kShared) &&
              Agree(RangeKind::kFile, wire::RangeKind::kFile) &&
              Agree(RangeKind::kStack, wire::RangeKind::kStack) &&
              Agree(RangeKind::kBrkHeap, wire::RangeKind::kBrkHeap) &&
              Agree(RangeKind::kOwn, wire::RangeKind::kOwn) &&
              Agree(RangeKind::kKernel, wire::RangeKind::kKernel));
constexpr bool Agree(pools::RangeFlags flag, wire::RangeFlags other) {
  return static_cast<uint16_t>(flag) == static_cast<uint16_t>(other);
}
static_assert(Agree(pools::kRangeSeen, wire::kRangeSeen) &&
              Agree(pools::kRangeReserve, wire::kRangeReserve) &&
              Agree(pools::kRangeMeasured, wire::kRangeMeasured) &&
              pools::kNobodysDomain == wire::kNoDomain);

// Code whose mappings are raw material of a domain.
struct Owner {
  std::atomic<uintptr_t> start, end;
  std::atomic<uint8_t> domain;
};

struct Ranges {
  pools::RangeTable table;
  RangeLog log;
  std::atomic<const void*> busy;  // who changes the table: the address of its thread's state
  std::atomic<bool> mirror_due;   // the file has begun
  Owner owners[1 + kMostArrows];  // the allocator, the libarrows
  bool malloc_maps_unseen;
};
constinit Ranges g_ranges = {};

void MirrorSlot(uint32_t slot) {
  Range range;
  if (g_ranges.table.Look(slot, &range)) {
    g_state.recording.MirrorRange(slot, {.start = range.start,
                                         .length = range.length,
                                         .time_ns = range.time_ns,
                                         .counted = range.counted,
                                         .stack = range.stack,
                                         .weight = range.weight,
                                         .thread = range.thread,
                                         .interval = range.interval,
                                         .kind = static_cast<uint8_t>(range.kind),
                                         .domain = range.domain,
                                         .flags = range.flags,
                                         .objects = range.objects,
                                         .check = 0});
  } else {
    g_state.recording.ClearRange(slot);
  }
}

// Changes that are made from now on are mirrored as they are made.
void MirrorIfDue() {
  if (!g_ranges.mirror_due.load(kRelaxed) ||
      !g_ranges.mirror_due.exchange(false, std::memory_order_acquire))
    return;
  for (uint32_t slot = 0; slot < g_ranges.table.used(); ++slot) MirrorSlot(slot);
}

bool TryOwn() {
  const void* nobody = nullptr;
  // Pairs with the release in Disown().
  return g_ranges.busy.compare_exchange_strong(nobody, &t_state, std::memory_order_acq_rel);
}

void Disown() { g_ranges.busy.store(nullptr, std::memory_order_release); }

void Drain() {
  MirrorIfDue();
  if (const uint32_t dropped = pools::MakeChanges(&g_ranges.log, &g_ranges.table))
    base::Count(base::Counter::k_ranges_dropped, dropped);
}

// Who appends and finds the table taken leaves the change to who has it, and that one looks again
// when it has given the table back: of the two fences one comes first.
void BringUpToDate() {
  do {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!TryOwn()) return;
    Drain();
    Disown();
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } while (g_ranges.log.HasNext() || g_ranges.mirror_due.load(kRelaxed));
}

void Lost(uint64_t changes = 1) {
  if (changes != 0) base::Count(base::Counter::k_range_changes_lost, changes);
}

// `logged`: whether the log has it.
void Logged(bool logged, const Range& range) {
  if (!logged) {
    Lost();
    // It will not be in the table: nobody would take it off.
    if (range.weight != 0) MappingTaken(range, range.counted, range.objects);
  }
  BringUpToDate();
}

void Append(const RangeChange& change) { Logged(g_ranges.log.Append(change), change.range); }

// Whose raw material what `caller` maps is; kNobodysDomain: nobody's.
uint8_t OwnerOf(uintptr_t caller) {
  for (const Owner& owner : g_ranges.owners) {
    if (caller >= owner.start.load(kRelaxed) && caller < owner.end.load(kRelaxed))
      return owner.domain.load(kRelaxed);
  }
  // The hook of pymalloc's arenas asks in that name.
  if (t_state.domain == static_cast<uint8_t>(wire::Domain::kPython)) return t_state.domain;
  return pools::kNobodysDomain;
}

// A file that is memory: of tmpfs, or of memfd_create.
bool IsMemoryFile(int descriptor) {
  constexpr long kTmpfs = 0x01021994, kHugetlbfs = 0x958458f6;
  struct statfs64 system;
  struct stat status;
  return !base::Failed(base::Syscall(SYS_fstatfs, descriptor, &system)) &&
         (system.f_type == kTmpfs || system.f_type == kHugetlbfs) &&
         !base::Failed(base::Syscall(SYS_fstat, descriptor, &status)) &&
         S_ISREG(status.st_mode);  // no device
}

RangeKind KindOf(const Mapping& mapping) {
  if (mapping.heap) return RangeKind::kBrkHeap;
  const bool is_private = (mapping.flags & MAP_TYPE) == MAP_PRIVATE;
  if ((mapping.flags & MAP_ANONYMOUS) != 0)
    return is_private ? RangeKind::kAnonymous : RangeKind::kShared;
  return IsMemoryFile(mapping.descriptor) ? RangeKind::kShared : RangeKind::kFile;
}

Range Describe(const Mapping& mapping) {
  Range range = {};
  range.start = mapping.start;
  range.length = base::RoundUp(mapping.length, base::kPageSize);
  range.time_ns = Now();
  range.caller = mapping.caller;
  range.kind = KindOf(mapping);
  range.domain = pools::kNobodysDomain;
  range.flags = pools::kRangeSeen;
  range.thread = t_state.thread_id;
  if (range.kind == RangeKind::kFile) {
    range.domain = static_cast<uint8_t>(wire::Domain::kMmap);
    range.flags |= pools::kRangeMeasured;
    return range;
  }
  range.domain = OwnerOf(mapping.caller);
  if (range.domain != pools::kNobodysDomain) {
    range.flags |= pools::kRangeReserve;
    return range;
  }
  range.domain = static_cast<uint8_t>(wire::Domain::kMmap);
  // Address space to be used bit by bit: allocators', collectors', just-in-time compilers'.
  constexpr uint64_t kSpace = 16 << 20;
  if (mapping.protection == PROT_NONE ||
      ((mapping.flags & MAP_NORESERVE) != 0 && range.length >= kSpace)) {
    range.flags |= pools::kRangeMeasured;
  }
  return range;
}

// What is mapped, into the log by `log`; sampled, unless a sample was interrupted for this.
template <typename Log>
void Mapped(const Mapping& mapping, const Log& log) {
  const bool nested = t_state.guarded;
  Guard guard(t_state);
  Range range = Describe(mapping);
  const bool counts = range.domain == static_cast<uint8_t>(wire::Domain::kMmap);
  if (counts && !nested) SampleMapping(guard, &range);
  Logged(log(range), range);
  if (range.weight == 0) return;
  BeginFileIfDue(range.time_ns);
  LookAtMemoryIfDue(range.time_ns, range.counted);
}

bool AppendMapped(const Range& range) {
  return g_ranges.log.Append({.kind = Kind::kMap, .start = 0, .end = 0, .range = range});
}

}  // namespace

bool InitializeRanges(uint32_t capacity) {
  uintptr_t start = 0, end = 0;
  if (stack::ModuleRangeOf(reinterpret_cast<uintptr_t>(g_next.malloc), &start, &end)) {
    const auto libc = reinterpret_cast<uintptr_t>(gnu_get_libc_version);  // which nobody else has
    g_ranges.malloc_maps_unseen = libc >= start && libc < end;
    if (!g_ranges.malloc_maps_unseen) {
      g_ranges.owners[0].domain.store(static_cast<uint8_t>(wire::Domain::kMalloc), kRelaxed);
      g_ranges.owners[0].start.store(start, kRelaxed);
      g_ranges.owners[0].end.store(end, kRelaxed);
    }
  }
  return g_ranges.log.Initialize() &&
         g_ranges.table.Initialize(capacity, {.taken = MappingTaken, .written = MirrorSlot});
}

bool MallocMapsUnseen() { return g_ranges.malloc_maps_unseen; }

bool RangesAreFollowed() { return g_ranges.table.capacity() != 0 && IsOurs(); }

uint64_t RangeWillChange(uintptr_t start, uintptr_t end) {
  return g_ranges.log.Open(base::RoundUp(start, base::kPageSize),
                           base::RoundUp(end, base::kPageSize));
}

void RangeDidNotChange(uint64_t place) {
  if (place == RangeLog::kNoPlace) return;
  const Guard guard(t_state);
  Logged(g_ranges.log.Close(place, Kind::kNothing, {}), {});
}

void RangeUnmapped(uint64_t place) {
  if (place == RangeLog::kNoPlace) return Lost();
  const Guard guard(t_state);
  Logged(g_ranges.log.Close(place, Kind::kUnmap, {}), {});
}

void RangeMapped(const Mapping& mapping) { Mapped(mapping, AppendMapped); }

void RangeMoved(uint64_t place, const Mapping& to) {
  if (place == RangeLog::kNoPlace) {
    Lost();
    return Mapped(to, AppendMapped);
  }
  Mapped(to, [place](const Range& range) { return g_ranges.log.Close(place, Kind::kMove, range); });
}

void RangeGivenBack(uintptr_t start, uint64_t length) {
  const Guard guard(t_state);
  Append({.kind = Kind::kGiveBack,
          .start = start,
          .end = start + base::RoundUp(length, base::kPageSize),
          .range = {}});
}

bool MapsRawMaterial(uintptr_t caller) { return OwnerOf(caller) != pools::kNobodysDomain; }

void AdoptRangesOf(size_t which, uintptr_t start, uintptr_t end, wire::Domain domain) {
  if (g_ranges.table.capacity() == 0) return;
  Owner& owner = g_ranges.owners[1 + which];
  owner.end.store(0, kRelaxed);
  owner.domain.store(static_cast<uint8_t>(domain), kRelaxed);
  owner.start.store(start, kRelaxed);
  owner.end.store(end, std::memory_order_release);
  Range range = {};
  range.domain = static_cast<uint8_t>(domain);
  Append({.kind = Kind::kAdopt, .start = start, .end = end, .range = range});
}

RangesForOneself::RangesForOneself() : mine_(g_ranges.table.capacity() != 0 && TryOwn()) {
  if (mine_) Drain();
}

RangesForOneself::~RangesForOneself() {
  if (!mine_) return;
  Disown();
  BringUpToDate();
}

pools::RangeTable& RangesForOneself::table() { return g_ranges.table; }

NextRangeIs NextRange(uintptr_t address, Range* range) {
  RangesForOneself ranges;
  if (!ranges) return NextRangeIs::kBusy;
  return ranges.table().Next(address, range) ? NextRangeIs::kThere : NextRangeIs::kNone;
}

void MirrorRanges() {
  if (g_ranges.table.capacity() == 0) return;
  g_ranges.mirror_due.store(true, std::memory_order_release);
  BringUpToDate();
}

void PassOverStuckChanges() {
  const RangesForOneself ranges;
  if (ranges) Lost(g_ranges.log.PassOver());
}

void RangesAfterFork() {
  if (g_ranges.table.capacity() == 0) return;
  const void* const busy = g_ranges.busy.load(kRelaxed);
  if (busy != nullptr && busy != &t_state) {  // another thread's, and it was in the middle of it
    g_ranges.table.Clear();
    g_ranges.log.Clear();
    ForgetMappings();
    g_ranges.busy.store(nullptr, kRelaxed);
    return Lost();
  }
  Lost(g_ranges.log.AfterFork());
}

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
#include "preload/hook/arrow.h"

#include <errno.h>
#include <link.h>
#include <string.h>

#include <atomic>

#include "preload/base/memory.h"
#include "preload/hook/ranges.h"
#include "preload/hook/state.h"
#include "preload/hook/tasks.h"
#include "preload/stack/maps_reader.h"
#include "preload/wire/format.h"

namespace heapecho::hook {
namespace {

// A libarrow that was met; which of them it is, is its bank of hooks.
struct Met {
  bool taken;
  bool seen;  // in the look that is under way
  uintptr_t bias;
  const void* dynamic;
  pools::ArrowFile file;
};

constexpr size_t kMostFacts = 16;

// Written by one thread at a time, the one that looks.
struct Arrows {
  std::atomic<bool> looking;
  std::atomic<bool> again;  // another thread wanted to look meanwhile
  // The loader's count of what it loaded and unloaded, and the length of its list, at the last
  // whole look.
  uint64_t adds, subs;
  size_t files;
  Met met[kMostArrows];
  std::atomic<size_t> fact_count;
  char facts[kMostFacts][192];
};
constinit Arrows g_arrows = {};

struct Look {
  size_t index;  // of the file in the loader's list
  uint64_t adds, subs;
  bool unchanged;
  bool too_early;  // one is being loaded by another thread
};

pools::MappedFile FileOf(const dl_phdr_info& info) {
  pools::MappedFile file = {.exports = {.bias = info.dlpi_addr, .dynamic = nullptr},
                            .start = UINTPTR_MAX,
                            .end = 0,
                            .code_start = 0,
                            .code_end = 0,
                            .constant_start = 0,
                            .constant_end = 0};
  for (size_t i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const uintptr_t start = info.dlpi_addr + segment.p_vaddr;
    const uintptr_t end = start + segment.p_memsz;
    if (segment.p_type == PT_DYNAMIC) {
      file.exports.dynamic = reinterpret_cast<const ElfW(Dyn)*>(start);
    } else if (segment.p_type == PT_GNU_RELRO) {
      file.constant_start = start;
      file.constant_end = end;
    } else if (segment.p_type == PT_LOAD) {
      if (start < file.start) file.start = start;
      if (end > file.end) file.end = end;
      if ((segment.p_flags & PF_X) != 0) {
        file.code_start = start;
        file.code_end = end;
      }
    }
  }
  return file;
}

enum class Constness { kReadOnly, kWritable, kUnknown };

// Whether the loader is done with the file: it makes these pages read-only when it has relocated
// them, which may be another thread's doing at this moment.
Constness ConstnessOf(const pools::MappedFile& file) {
  const uintptr_t start = file.constant_start & ~(base::kPageSize - 1);
  const uintptr_t end =
      file.constant_end & ~(base::kPageSize - 1);  // a last page that is shared stays writable
  if (start >= end) return Constness::kUnknown;
  void* const buffer = base::MapPrivate(stack::MapsReader::kBufferSize, "heapecho maps");
  if (buffer == nullptr) return Constness::kUnknown;
  Constness constness = Constness::kUnknown;
  {
    stack::MapsReader reader(static_cast<char*>(buffer));
    uintptr_t covered = start;
    for (stack::MapsLine line; covered < end && reader.Next(&line);) {
      if (line.end <= covered) continue;
      if (line.start > covered || !line.readable) break;
      if (line.writable) {
        constness = Constness::kWritable;
        break;
      }
      covered = line.end;
      if (covered >= end) constness = Constness::kReadOnly;
    }
  }
  base::Unmap(buffer, stack::MapsReader::kBufferSize);
  return constness;
}

const char* FileName(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

void AddFact(const char* name, const char* state, const char* reason = "") {
  const size_t index = g_arrows.fact_count.load(kRelaxed);
  if (index == kMostFacts) return;
  char* const fact = g_arrows.facts[index];
  constexpr size_t kRoom = sizeof g_arrows.facts[0];
  strncat(fact, FileName(name), 80);
  strcat(fact, ": ");
  strncat(fact, state, kRoom - 1 - strlen(fact));
  strncat(fact, reason, kRoom - 1 - strlen(fact));
  g_arrows.fact_count.store(index + 1, std::memory_order_release);  // pairs with ArrowFact
  // A forked child in which nothing has happened yet still has its parent's file; its own begins
  // with all facts.
  if (g_state.process.Ask() == recording::ProcessState::kOurs &&
      !g_state.child_pending.load(kRelaxed)) {
    g_state.recording.AppendIdentity(wire::IdentityKey::kArrow, fact);
  }
}

// Whether its pools are recorded. Adds the fact where they are not.
bool HookPools(const dl_phdr_info& info, const pools::ArrowFile& file, size_t bank) {
  if (g_state.options.arrow == base::Arrow::kOff) {
    AddFact(info.dlpi_name, "not recorded: HEAPECHO_ARROW=off");
  } else if (file.pool_count == 0) {
    AddFact(info.dlpi_name, "not recorded: ", file.trouble);
  } else if (!HookArrowPools(bank, file)) {
    AddFact(info.dlpi_name, "not recorded: its tables cannot be written to");
  } else {
    return true;
  }
  return false;
}

void Hook(const dl_phdr_info& info, const pools::MappedFile& mapped, Met* met, size_t bank) {
  met->file = pools::ReadArrowFile(mapped);
  const pools::ArrowFile& file = met->file;
  if (!HookPools(info, file, bank)) return;
  // What its hidden allocators map is what its pools are made of.
  AdoptRangesOf(bank, mapped.start, mapped.end, wire::Domain::kArrow);
  if (g_state.options.arrow == base::Arrow::kPools) {
    AddFact(info.dlpi_name, "recorded, not whose work its threads do: HEAPECHO_ARROW=pools");
  } else if (file.spawn == nullptr) {
    AddFact(info.dlpi_name, "recorded, not whose work its threads do: ", file.task_trouble);
  } else if (!HookArrowTasks(bank, file)) {
    AddFact(info.dlpi_name, "recorded, not whose work its threads do: no memory for it");
  } else {
    AddFact(info.dlpi_name, "recorded");
  }
}

// Called with the loader's list locked: what is in it stays mapped.
int Visit(dl_phdr_info* info, size_t, void* context) {
  Look& look = *static_cast<Look*>(context);
  if (look.index++ == 0) {
    look.adds = info->dlpi_adds;
    look.subs = info->dlpi_subs;
    look.unchanged = look.adds == g_arrows.adds && look.subs == g_arrows.subs;
    if (look.unchanged) return 1;
  }
  // Nothing has gone: what is new is at the end of the list.
  if (look.subs == g_arrows.subs && look.index <= g_arrows.files) return 0;
  const pools::MappedFile file = FileOf(*info);
  if (file.exports.dynamic == nullptr || !pools::IsArrow(file)) return 0;

  Met* unused = nullptr;
  for (Met& met : g_arrows.met) {
    if (!met.taken) {
      if (unused == nullptr) unused = &met;
    } else if (met.bias == file.exports.bias && met.dynamic == file.exports.dynamic) {
      const auto bank = static_cast<size_t>(&met - g_arrows.met);
      met.seen = true;
      // Where it is not, it was closed and loaded again to the same place.
      if (met.file.pool_count == 0 || ArrowPoolsAreHooked(bank, met.file)) return 0;
      unused = &met;
      break;
    }
  }
  switch (ConstnessOf(file)) {
    case Constness::kReadOnly:
      break;
    case Constness::kWritable:
      look.too_early = true;
      return 0;
    case Constness::kUnknown:
      return 0;
  }
  if (unused == nullptr) {
    AddFact(info->dlpi_name, "not recorded: too many copies of Arrow");
    return 0;
  }
  *unused = {.taken = true,
             .seen = true,
             .bias = file.exports.bias,
             .dynamic = file.exports.dynamic,
             .file = {}};
  Hook(*info, file, unused, static_cast<size_t>(unused - g_arrows.met));
  return 0;
}

void LookOnce() {
  Look look = {};
  for (Met& met : g_arrows.met) met.seen = false;
  dl_iterate_phdr(Visit, &look);
  if (look.unchanged || look.too_early) return;
  if (look.subs != g_arrows.subs) {
    for (Met& met : g_arrows.met) met.taken = met.taken && met.seen;
  }
  g_arrows.adds = look.adds;
  g_arrows.subs = look.subs;
  g_arrows.files = look.index;
}

}  // namespace

void LookForArrow() {
  const int error = errno;
  g_arrows.again.store(true, std::memory_order_seq_cst);
  // Who finds another thread looking leaves the new look to it: that one asks again when it is
  // done.
  while (g_arrows.again.load(std::memory_order_seq_cst) &&
         !g_arrows.looking.exchange(true, std::memory_order_seq_cst)) {
    g_arrows.again.store(false, std::memory_order_seq_cst);
    LookOnce();
    g_arrows.looking.store(false, std::memory_order_seq_cst);
  }
  errno = error;
}

void ArrowAfterFork() { g_arrows.looking.store(false, kRelaxed); }

const char* ArrowFact(size_t index) {
  return index < g_arrows.fact_count.load(std::memory_order_acquire) ? g_arrows.facts[index]
                                                                     : nullptr;
}

}  // namespace heapecho::hook

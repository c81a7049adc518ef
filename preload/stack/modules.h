// SPDX-License-Identifier: Apache-2.0
// The mapped ELF files that stacks have met, each with an id that is never reused in this process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace heapecho::stack {

inline constexpr size_t kMostModules =
    4096;  // over the life of the process, unloaded ones included

struct Module {
  uint16_t id;  // from 1
  bool unloaded;
  uint8_t build_id_length;  // bytes; 0: none
  uint8_t build_id[20];
  uint64_t seen_ns;      // CLOCK_MONOTONIC when first met
  uint64_t unloaded_ns;  // when it was noticed to be gone
  uintptr_t bias;        // run-time address minus ELF virtual address
  uintptr_t start, end;  // run-time range
  const char* path;      // NUL-terminated, in memory of ours; "" when none is known
};

// Told of each new module, before any location names it, and of each that went away
// (module.unloaded), by the thread that noticed, from within a hook: must not allocate, lock or
// wait. Two threads that meet a module at the same moment may both tell of it, under two ids of
// which one is then never used.
using ModuleSink = void (*)(const Module& module);
void SetModuleSink(ModuleSink sink);

// Where `ip` lies, as wire::NodeRecord::location: module id << 48 | ELF virtual address; module 0
// and the absolute address where no module is known (JIT, table full: counted). Learns modules on
// the way, from _dl_find_object (glibc 2.35) or, without it, from a table of our own read off
// /proc/self/maps by raw system calls. Thread-safe, signal-safe, no lock.
uint64_t LocationOf(uintptr_t ip);

// What the walk reads of a module: the address of its .eh_frame_hdr and the readable segment around
// it.
struct CfiSection {
  uintptr_t header;
  uintptr_t low, high;
};

// False where no module with call frame information is known. As LocationOf otherwise.
bool CfiSectionOf(uintptr_t ip, CfiSection* section);

// The run-time range of the module around `ip`; false where none is known. As LocationOf otherwise.
bool ModuleRangeOf(uintptr_t ip, uintptr_t* start, uintptr_t* end);

// A library was or is about to be unmapped or mapped (dlclose, before and after the real call;
// dlopen, after it): known modules are checked again when next met, those that are gone are told to
// the sink, and every unwinding rule derived from them becomes void. Thread-safe, signal-safe, two
// instructions.
void ModulesMayHaveChanged();

// Rises with each ModulesMayHaveChanged, and when a change that nobody announced was noticed.
extern constinit std::atomic<uint64_t> g_module_generation;
inline uint64_t ModuleGeneration() {
  return g_module_generation.load(std::memory_order_acquire);  // pairs with ModulesMayHaveChanged
}

// How many modules have been met so far, and the one of that id (from 1 on); false: it is being met right now, or
// there is none.
uint32_t ModulesMet();
bool ModuleOf(uint32_t id, Module* module);

// Calls `visit` for every module met so far, unloaded ones included, in order of id.
void ForEachModule(void (*visit)(const Module& module, void* context), void* context);

}  // namespace heapecho::stack

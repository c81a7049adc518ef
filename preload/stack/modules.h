// SPDX-License-Identifier: Apache-2.0
// The mapped ELF files that stacks have met, each with an id that is never reused in this process.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::stack {

struct Module {
  uint16_t id;              // from 1
  bool unloaded;
  uint8_t build_id_length;  // bytes; 0: none
  uint8_t build_id[20];
  uint64_t seen_ns;         // CLOCK_MONOTONIC when first met
  uint64_t unloaded_ns;
  uintptr_t bias;           // run-time address minus ELF virtual address
  uintptr_t start, end;     // run-time range
  const char* path;         // NUL-terminated, in memory of ours; "" when the loader names none
};

// Told of each new module and of each that went away (module.unloaded), by the thread that noticed, from
// within a hook: must not allocate, lock or wait.
using ModuleSink = void (*)(const Module& module);
void SetModuleSink(ModuleSink sink);

// Where `ip` lies, as wire::NodeRecord::location: module id << 48 | ELF virtual address; module 0 and the
// absolute address where no module is known (JIT, vdso without a record, table full: counted).
// Learns modules on the way, from _dl_find_object (glibc 2.35) or, without it, from a table of our own read
// off /proc/self/maps by raw system calls. Thread-safe, signal-safe, no lock.
uint64_t LocationOf(uintptr_t ip);

// dlclose was called (before and after the real call): known modules are checked again when next met.
void ModulesMayHaveChanged();

// Calls `visit` for every module known now, in order of id.
void ForEachModule(void (*visit)(const Module& module, void* context), void* context);

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// Finding what the loaded libraries export by reading their dynamic sections, without the loader's help.
//
// Instead of dlsym: that one allocates before the next allocator is known (every peer carries an arena for
// it), takes the loader's lock, and lives in another library before glibc 2.34. What is read here are symbol
// tables in memory, in the order in which the loader searches them.
#pragma once

#include <link.h>

#include <cstddef>
#include <cstdint>

namespace heapecho::base {

// A mapped ELF file, as far as what it exports goes.
struct ExportingFile {
  uintptr_t bias;             // run-time address minus ELF virtual address
  const ElfW(Dyn)* dynamic;   // null: it exports nothing
};
inline ExportingFile FileOf(const link_map& map) { return {.bias = map.l_addr, .dynamic = map.l_ld}; }

enum class SymbolType { kFunction, kObject };
struct Definition {
  uintptr_t address;  // 0: the file does not define it
  size_t size;        // bytes, as the file says
};

// What one file exports under `name`. Reads that file's tables and nothing else: signal-safe while it is mapped.
Definition FindDefinition(const ExportingFile& file, const char* name, SymbolType type);

struct Symbol {
  void* address;          // null: not found
  const link_map* owner;  // the library that defines it
};

// The definition that stands next to ours in the loader's search order: what dlsym(RTLD_NEXT) gives. Reads the
// list of libraries as the loader keeps it: at start-up, or while no dlopen or dlclose runs.
Symbol FindNext(const char* name);

// The first definition in the loader's search order: what the program itself calls. May be ours.
Symbol FindFirst(const char* name);
// Whether that library is ours.
bool IsOurs(const link_map* library);

// The definition in a library whose file name begins with `library`, wherever it stands, loaded locally too.
Symbol FindIn(const char* library, const char* name);

}  // namespace heapecho::base

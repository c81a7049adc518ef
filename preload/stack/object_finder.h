// SPDX-License-Identifier: Apache-2.0
// Which mapped ELF file an address lies in: the loader's word, or a table of our own where it has none.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::stack {

// One mapped ELF file as it is now.
struct MappedObject {
  uintptr_t start, end;  // run-time range of its loadable segments
  uintptr_t bias;        // run-time address minus ELF virtual address
  uintptr_t identity;    // differs between two files that follow each other at one address
  const char* name;      // as the loader has it: may be relative; valid while the object is mapped
};

enum class ObjectSource {
  kLoader,    // _dl_find_object: glibc 2.35, takes no lock
  kOwnTable,  // /proc/self/maps, read again when an address is not found, at most so often that reading
              // costs a thousandth of the time, and at once after ObjectsMayHaveChanged
};

// Once, from the library's constructor: reads the name of the executable (the loader has none for it) and
// chooses kLoader where the running glibc has it. May be called again; the choice is then made anew.
void InitializeObjectFinder();

// For tests of the second way on a glibc that has the first. Not thread-safe.
void UseObjectSource(ObjectSource source);
ObjectSource CurrentObjectSource();

// False when `address` is in no mapped ELF file (JIT code, stacks, heaps). Thread-safe, signal-safe, no
// lock, no allocation. kOwnTable may open and read /proc/self/maps.
bool FindObject(uintptr_t address, MappedObject* object);

// The next address that is not found, and every address once, is looked for in a new table.
void ObjectsMayHaveChanged();

// The absolute name under which the kernel knows the file mapped at `start`, kept for ever (KeepPath); ""
// when it cannot be had now. Reads /proc/self/maps.
const char* MappedFileName(uintptr_t start);

}  // namespace heapecho::stack

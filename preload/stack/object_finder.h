// SPDX-License-Identifier: Apache-2.0
// Which mapped ELF file an address lies in: the loader's word, or a table of our own where it has
// none.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::stack {

// One mapped ELF file as it is now.
struct MappedObject {
  uintptr_t start,
      end;  // run-time range; the end may or may not include zeroed memory behind the file's
  uintptr_t identity;  // differs between two files that are mapped at the same time
  const char* name;    // as the source has it: may be relative; valid while the object is mapped
};

enum class ObjectSource {
  kLoader,    // _dl_find_object: glibc 2.35, takes no lock
  kOwnTable,  // /proc/self/maps, read again when an address is not found, at most so often that
              // reading costs a thousandth of the time, and at once after ObjectsMayHaveChanged
};

// Once, from the library's constructor: reads the name of the executable (the loader has none for
// it) and chooses kLoader where the running glibc has it. May be called again; the choice is then
// made anew.
void InitializeObjectFinder();

// For tests of the second way on a glibc that has the first. Not thread-safe.
void UseObjectSource(ObjectSource source);
ObjectSource CurrentObjectSource();

// False when `address` is in no mapped ELF file (JIT code, stacks, heaps). Thread-safe,
// signal-safe, no lock, no allocation. kOwnTable may open and read /proc/self/maps.
bool FindObject(uintptr_t address, MappedObject* object);

// Whether what was found as `object` is still there, or something that took its range and identity.
// Reads nothing of the object or of what describes it: another thread may be unmapping it at this
// moment.
bool StillMapped(uintptr_t start, uintptr_t end, uintptr_t identity);

// The next address that is not found, and every address once, is looked for in a new table.
void ObjectsMayHaveChanged();

// The absolute name under which the kernel knows the file mapped at `start`, kept for ever
// (KeepPath); "" when it cannot be had now. Reads /proc/self/maps.
const char* MappedFileName(uintptr_t start);

}  // namespace heapecho::stack

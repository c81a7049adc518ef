// SPDX-License-Identifier: Apache-2.0
// Which words of a mapped libarrow to replace, to be told of its memory pools' blocks and its
// thread pools' tasks.
//
// Arrow's allocators are hidden in libarrow, but each is reached by a virtual call: a pool's class
// has its Allocate, Reallocate and Free in a vtable. Which slots those are is learnt from a class
// whose vtable and methods are exported, ProxyMemoryPool; the vtables of the classes that allocate
// themselves, which newer versions do not export, are found by their type information, as the
// Itanium C++ ABI lays it out. Pools that forward to another one (proxies, logging, a cap) are left
// alone: their blocks are counted where they end up.
//
// Nothing of Arrow is called: its functions build statics, read the environment, and wait for each
// other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/symbols.h"

namespace heapecho::pools {

// A mapped ELF file: run-time addresses.
struct MappedFile {
  base::ExportingFile exports;
  uintptr_t start, end;            // all of it
  uintptr_t code_start, code_end;  // the executable segment
  uintptr_t constant_start,
      constant_end;  // what the loader makes read-only once it is relocated (RELRO)
};

// The slots of one class of pools.
struct ArrowPool {
  uintptr_t* allocate;
  uintptr_t* reallocate;
  uintptr_t* free;
};

inline constexpr size_t kMostArrowPools = 8;  // classes in one file

struct ArrowFile {
  bool aligned;       // the functions take an alignment behind the size (Arrow 11 and later)
  size_t pool_count;  // 0: not as expected, see trouble
  ArrowPool pools[kMostArrowPools];
  uintptr_t* spawn;  // ThreadPool's SpawnReal; null: not as expected, see task_trouble
  const char* trouble;
  const char* task_trouble;
};

// Whether the file is a libarrow, by what it exports.
bool IsArrow(const MappedFile& file);

// Reads such a file, which must stay mapped meanwhile and be relocated. Signal-safe.
ArrowFile ReadArrowFile(const MappedFile& file);

}  // namespace heapecho::pools

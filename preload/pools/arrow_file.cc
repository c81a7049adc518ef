// SPDX-License-Identifier: Apache-2.0
// Source: Itanium C++ ABI. A vtable's symbol is followed by the offset to the top of the object,
// the address of the type information, and the slots of the virtual functions; a class with one
// base has in its type information a word that is the same for all such classes, its name, and its
// base's type information.
#include "preload/pools/arrow_file.h"

#include <string.h>

namespace heapecho::pools {
namespace {

constexpr char kProxyVtable[] = "_ZTVN5arrow15ProxyMemoryPoolE";
// What the classes that allocate themselves derive from: a template over the allocator.
constexpr char kAllocatingBase[] = "N5arrow18BaseMemoryPoolImplI";

constexpr size_t kVtableHead = 2;  // words in front of the slots
constexpr size_t kMostSlots = 32;

uintptr_t FunctionOf(const MappedFile& file, const char* name) {
  return base::FindDefinition(file.exports, name, base::SymbolType::kFunction).address;
}

bool IsConstant(const MappedFile& file, uintptr_t address, size_t bytes) {
  return address % sizeof(uintptr_t) == 0 && address >= file.constant_start &&
         address < file.constant_end && file.constant_end - address >= bytes;
}

// The slots of an exported vtable.
struct Vtable {
  uintptr_t* slots;
  size_t count;
};
Vtable VtableOf(const MappedFile& file, const char* name) {
  const base::Definition found =
      base::FindDefinition(file.exports, name, base::SymbolType::kObject);
  const size_t words = found.size / sizeof(uintptr_t);
  if (found.address == 0 || words <= kVtableHead || words > kVtableHead + kMostSlots ||
      !IsConstant(file, found.address, found.size)) {
    return {};
  }
  return {.slots = reinterpret_cast<uintptr_t*>(found.address) + kVtableHead,
          .count = words - kVtableHead};
}

// Which slot holds that function; the count of slots where none or several do.
size_t SlotOf(const Vtable& vtable, uintptr_t function) {
  size_t found = vtable.count;
  for (size_t slot = 0; slot < vtable.count; ++slot) {
    if (function == 0 || vtable.slots[slot] != function) continue;
    if (found != vtable.count) return vtable.count;
    found = slot;
  }
  return found;
}

struct PoolSlots {
  size_t allocate, reallocate, free;
};
bool LearnSlots(const MappedFile& file, const Vtable& proxy, bool aligned, PoolSlots* slots) {
  const char* const allocate = aligned ? "_ZN5arrow15ProxyMemoryPool8AllocateEllPPh"
                                       : "_ZN5arrow15ProxyMemoryPool8AllocateElPPh";
  const char* const reallocate = aligned ? "_ZN5arrow15ProxyMemoryPool10ReallocateElllPPh"
                                         : "_ZN5arrow15ProxyMemoryPool10ReallocateEllPPh";
  const char* const free =
      aligned ? "_ZN5arrow15ProxyMemoryPool4FreeEPhll" : "_ZN5arrow15ProxyMemoryPool4FreeEPhl";
  slots->allocate = SlotOf(proxy, FunctionOf(file, allocate));
  slots->reallocate = SlotOf(proxy, FunctionOf(file, reallocate));
  slots->free = SlotOf(proxy, FunctionOf(file, free));
  return slots->allocate < proxy.count && slots->reallocate < proxy.count &&
         slots->free < proxy.count;
}

// Whether the type information at `words` is that of a class with one base, which is that template.
bool AllocatesItself(const MappedFile& file, const uintptr_t* words, uintptr_t one_base) {
  if (words[0] != one_base || !IsConstant(file, words[2], 2 * sizeof(uintptr_t))) return false;
  uintptr_t name = reinterpret_cast<const uintptr_t*>(words[2])[1];
  constexpr size_t kLength = sizeof kAllocatingBase - 1;
  if (name < file.start || name >= file.end || file.end - name <= kLength) return false;
  if (*reinterpret_cast<const char*>(name) == '*')
    ++name;  // a type that is local to its source file
  return memcmp(reinterpret_cast<const char*>(name), kAllocatingBase, kLength) == 0;
}

bool IsCode(const MappedFile& file, uintptr_t address) {
  return address >= file.code_start && address < file.code_end;
}

void FindPools(const MappedFile& file, const PoolSlots& slots, size_t slot_count,
               uintptr_t one_base, ArrowFile* arrow) {
  auto* const begin = reinterpret_cast<uintptr_t*>((file.constant_start + 7) & ~uintptr_t{7});
  const size_t count = (file.constant_end - reinterpret_cast<uintptr_t>(begin)) / sizeof(uintptr_t);
  uintptr_t types[kMostArrowPools];
  size_t type_count = 0;
  for (size_t i = 0; i + 3 <= count && type_count < kMostArrowPools; ++i) {
    if (!AllocatesItself(file, begin + i, one_base)) continue;
    types[type_count++] = reinterpret_cast<uintptr_t>(begin + i);
  }
  for (size_t i = 1; i + 1 + slot_count <= count && arrow->pool_count < kMostArrowPools; ++i) {
    bool is_one = false;
    for (size_t k = 0; k < type_count; ++k) is_one = is_one || begin[i] == types[k];
    uintptr_t* const words = begin + i + 1;
    if (!is_one || begin[i - 1] != 0 || !IsCode(file, words[slots.allocate]) ||
        !IsCode(file, words[slots.reallocate]) || !IsCode(file, words[slots.free])) {
      continue;
    }
    arrow->pools[arrow->pool_count++] = {.allocate = words + slots.allocate,
                                         .reallocate = words + slots.reallocate,
                                         .free = words + slots.free};
  }
}

}  // namespace

bool IsArrow(const MappedFile& file) {
  return base::FindDefinition(file.exports, kProxyVtable, base::SymbolType::kObject).address != 0;
}

ArrowFile ReadArrowFile(const MappedFile& file) {
  ArrowFile arrow = {};
  const Vtable proxy = VtableOf(file, kProxyVtable);
  PoolSlots slots = {};
  if (proxy.count == 0) {
    arrow.trouble = "the table of ProxyMemoryPool is not where it should be";
  } else {
    arrow.aligned = LearnSlots(file, proxy, true, &slots);
    if (!arrow.aligned && !LearnSlots(file, proxy, false, &slots)) {
      arrow.trouble = "the functions of a memory pool are not those that are known";
    } else {
      const uintptr_t type = proxy.slots[-1];
      if (IsConstant(file, type, 3 * sizeof(uintptr_t))) {
        FindPools(file, slots, proxy.count, *reinterpret_cast<const uintptr_t*>(type), &arrow);
      }
      if (arrow.pool_count == 0) arrow.trouble = "no memory pools are found in it";
    }
  }
  const Vtable threads = VtableOf(file, "_ZTVN5arrow8internal10ThreadPoolE");
  const size_t spawn = SlotOf(
      threads,
      FunctionOf(file,
                 "_ZN5arrow8internal10ThreadPool9SpawnRealENS0_9TaskHintsENS0_6FnOnceIFvvEEENS_"
                 "9StopTokenEONS3_IFvRKNS_6StatusEEEE"));
  if (spawn < threads.count) {
    arrow.spawn = threads.slots + spawn;
  } else {
    arrow.task_trouble = "the thread pool's function is not the one that is known";
  }
  return arrow;
}

}  // namespace heapecho::pools

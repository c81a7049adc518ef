// SPDX-License-Identifier: Apache-2.0
// Sources: System V ABI, "Dynamic Linking"; for DT_GNU_HASH the layout that binutils and glibc share: four
// words (buckets, first symbol, filter words, shift), the filter, the buckets, then a chain of hashes.
#include "preload/base/symbols.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

namespace heapecho::base {
namespace {

struct SymbolTable {
  const ElfW(Sym)* symbols;
  const char* strings;
  const uint32_t* gnu_hash;
  const uint32_t* hash;
  const uint16_t* versions;
};

// Addresses in the dynamic section are run-time ones where the loader has relocated them (all but the vdso's).
template <typename T>
const T* Relocated(const ExportingFile& file, ElfW(Addr) address) {
  return reinterpret_cast<const T*>(address < file.bias ? address + file.bias : address);
}

SymbolTable TableOf(const ExportingFile& file) {
  SymbolTable table = {};
  for (const ElfW(Dyn)* entry = file.dynamic; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
    const ElfW(Addr) value = entry->d_un.d_ptr;
    switch (entry->d_tag) {
      case DT_SYMTAB: table.symbols = Relocated<ElfW(Sym)>(file, value); break;
      case DT_STRTAB: table.strings = Relocated<char>(file, value); break;
      case DT_GNU_HASH: table.gnu_hash = Relocated<uint32_t>(file, value); break;
      case DT_HASH: table.hash = Relocated<uint32_t>(file, value); break;
      case DT_VERSYM: table.versions = Relocated<uint16_t>(file, value); break;
      default: break;
    }
  }
  return table;
}

bool IsDefinitionOf(const SymbolTable& table, uint32_t index, const char* name, unsigned type) {
  constexpr uint16_t kHidden = 0x8000;  // an old version, kept for programs that were linked to it
  const ElfW(Sym)& symbol = table.symbols[index];
  return symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == type &&
         ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
         (table.versions == nullptr || (table.versions[index] & kHidden) == 0) &&
         strcmp(table.strings + symbol.st_name, name) == 0;
}

// Index of the symbol, 0 if there is none.
uint32_t LookUpGnu(const SymbolTable& table, const char* name, unsigned type) {
  const uint32_t bucket_count = table.gnu_hash[0];
  const uint32_t first = table.gnu_hash[1];
  const uint32_t filter_words = table.gnu_hash[2];
  const uint32_t* buckets = table.gnu_hash + 4 + filter_words * (sizeof(ElfW(Addr)) / 4);
  const uint32_t* chain = buckets + bucket_count;
  uint32_t hash = 5381;
  for (const char* c = name; *c != '\0'; ++c) hash = hash * 33 + static_cast<uint8_t>(*c);
  if (bucket_count == 0) return 0;
  uint32_t index = buckets[hash % bucket_count];
  if (index < first) return 0;
  for (;; ++index) {
    const uint32_t other = chain[index - first];
    if ((other | 1) == (hash | 1) && IsDefinitionOf(table, index, name, type)) return index;
    if ((other & 1) != 0) return 0;  // the bucket's last
  }
}

uint32_t LookUpSysV(const SymbolTable& table, const char* name, unsigned type) {
  const uint32_t symbol_count = table.hash[1];
  for (uint32_t index = 1; index < symbol_count; ++index) {
    if (IsDefinitionOf(table, index, name, type)) return index;
  }
  return 0;
}

Symbol LookUp(const link_map& map, const char* name) {
  const Definition found = FindDefinition(FileOf(map), name, SymbolType::kFunction);
  if (found.address == 0) return {};
  return {.address = reinterpret_cast<void*>(found.address), .owner = &map};
}

const char* FileName(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

}  // namespace

Definition FindDefinition(const ExportingFile& file, const char* name, SymbolType type) {
  const SymbolTable table = TableOf(file);
  if (table.symbols == nullptr || table.strings == nullptr) return {};
  const unsigned wanted = type == SymbolType::kFunction ? STT_FUNC : STT_OBJECT;
  uint32_t index = 0;
  if (table.gnu_hash != nullptr) {
    index = LookUpGnu(table, name, wanted);
  } else if (table.hash != nullptr) {
    index = LookUpSysV(table, name, wanted);
  }
  if (index == 0) return {};
  const ElfW(Sym)& symbol = table.symbols[index];
  return {.address = file.bias + symbol.st_value, .size = symbol.st_size};
}

Symbol FindNext(const char* name) {
  const link_map* map = _r_debug.r_map;
  while (map != nullptr && map->l_ld != _DYNAMIC) map = map->l_next;
  if (map == nullptr) return {};
  for (map = map->l_next; map != nullptr; map = map->l_next) {
    const Symbol symbol = LookUp(*map, name);
    if (symbol.address != nullptr) return symbol;
  }
  return {};
}

Symbol FindFirst(const char* name) {
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    const Symbol symbol = LookUp(*map, name);
    if (symbol.address != nullptr) return symbol;
  }
  return {};
}

bool IsOurs(const link_map* library) { return library != nullptr && library->l_ld == _DYNAMIC; }

Symbol FindIn(const char* library, const char* name) {
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    if (strncmp(FileName(map->l_name), library, strlen(library)) != 0) continue;
    const Symbol symbol = LookUp(*map, name);
    if (symbol.address != nullptr) return symbol;
  }
  return {};
}

}  // namespace heapecho::base

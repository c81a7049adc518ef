// SPDX-License-Identifier: Apache-2.0
// A module's symbols, sorted for looking up; the contract is in the header.
#include "analyzer/symbolizer/symbol_table.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace heapecho::symbolizer {
namespace {

struct Symbol {
  uint64_t start = 0, size = 0;
  uint64_t section_end = 0;
  const char* name = nullptr;
  uint8_t preference = 0;  // smaller is better
};

// The end of an executable section; 0 for any other.
uint64_t ExecutableEnd(Elf* elf, GElf_Word index, uint64_t bias) {
  GElf_Shdr header;
  Elf_Scn* section = elf_getscn(elf, index);
  if (section == nullptr || gelf_getshdr(section, &header) == nullptr) return 0;
  return (header.sh_flags & SHF_EXECINSTR) != 0 ? header.sh_addr + header.sh_size + bias : 0;
}

// Compilers' and assemblers' labels, and what marks data among code.
bool IsLabel(const char* name) {
  return name[0] == '\0' || name[0] == '$' || std::strncmp(name, ".L", 2) == 0;
}

uint8_t PreferenceOf(const GElf_Sym& symbol, const char* name) {
  const unsigned char binding = GELF_ST_BIND(symbol.st_info);
  const size_t underscores = std::min<size_t>(std::strspn(name, "_"), 15);
  const unsigned rank = (binding == STB_GLOBAL || binding == STB_GNU_UNIQUE) ? 0
                        : binding == STB_WEAK                                ? 1
                                                                             : 2;
  const bool untyped = GELF_ST_TYPE(symbol.st_info) == STT_NOTYPE;
  return static_cast<uint8_t>((untyped ? 64U : 0U) + rank * 16 + underscores);
}

std::vector<Symbol> ReadSymbols(Dwfl_Module* module) {
  std::vector<Symbol> symbols;
  const int count = dwfl_module_getsymtab(module);
  symbols.reserve(static_cast<size_t>(std::max(count, 0)));
  absl::flat_hash_map<std::pair<Elf*, GElf_Word>, uint64_t> section_ends;
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Word section = SHN_UNDEF;
    Elf* elf = nullptr;
    Dwarf_Addr bias = 0;
    const char* name = dwfl_module_getsym_info(module, i, &symbol, &address, &section, &elf, &bias);
    if (name == nullptr || elf == nullptr || IsLabel(name)) continue;
    const unsigned char type = GELF_ST_TYPE(symbol.st_info);
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) continue;
    if (section == SHN_UNDEF || section >= SHN_LORESERVE) continue;
    const auto [end, is_new] = section_ends.try_emplace({elf, section}, 0);
    if (is_new) end->second = ExecutableEnd(elf, section, bias);
    if (end->second == 0) continue;
    symbols.push_back({address, symbol.st_size, end->second, name, PreferenceOf(symbol, name)});
  }
  return symbols;
}

}  // namespace

SymbolTable::SymbolTable(const ModuleFile& file) {
  std::vector<Symbol> symbols = ReadSymbols(file.dwfl());
  std::sort(symbols.begin(), symbols.end(), [](const Symbol& a, const Symbol& b) {
    if (a.start != b.start) return a.start < b.start;
    if ((a.size == 0) != (b.size == 0)) return b.size == 0;
    if (a.preference != b.preference) return a.preference < b.preference;
    return std::string_view(a.name) < std::string_view(b.name);
  });
  uint64_t sized_until = 0;
  std::erase_if(symbols, [&sized_until](const Symbol& symbol) {
    if (symbol.size == 0) return symbol.start < sized_until;
    sized_until =
        std::max(sized_until, symbol.start + std::min(symbol.size, UINT64_MAX - symbol.start));
    return false;
  });
  std::vector<IntervalIndex<const char*>::Entry> entries(symbols.size());
  uint64_t next = UINT64_MAX;  // where the following distinct symbol starts
  for (size_t i = symbols.size(); i-- > 0;) {
    const Symbol& symbol = symbols[i];
    if (i + 1 < symbols.size() && symbols[i + 1].start != symbol.start) next = symbols[i + 1].start;
    const uint64_t sized_end = symbol.start + std::min(symbol.size, UINT64_MAX - symbol.start);
    const uint64_t end = symbol.size != 0 ? sized_end : std::min(next, symbol.section_end);
    entries[i] = {symbol.start, end, symbol.name};
  }
  names_ = IntervalIndex<const char*>(std::move(entries));
}

const char* SymbolTable::Find(uint64_t address) const {
  const auto* entry = names_.Find(address);
  return entry == nullptr ? nullptr : entry->payload;
}

}  // namespace heapecho::symbolizer

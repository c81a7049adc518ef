// SPDX-License-Identifier: Apache-2.0
// What DWARF says about an address: the function, those inlined there, files and lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "analyzer/symbolizer/interval_index.h"
#include "analyzer/symbolizer/module_file.h"

namespace heapecho::symbolizer {

struct DwarfFrame {
  std::string linkage_name;  // as the linker spells it; empty for C
  std::string name;          // as the source spells it, without parameters; may be empty
  std::string file;          // empty when not known
  uint32_t line = 0;         // 0: not known
};

class DwarfFrames {
 public:
  explicit DwarfFrames(const ModuleFile& file);  // must outlive this

  // False when the module has no DWARF at all.
  bool HasDebugInfo() const { return dwarf_ != nullptr; }

  // Which compilation unit an address belongs to; 0: none. The numbers stay the same when the file
  // is opened again.
  uint64_t UnitOf(uint64_t address) const;

  // The frames at each of `addresses` (sorted), all of the unit `unit`: innermost first, the last
  // one being the function that the inlined ones are in; none where nothing is known.
  std::vector<std::vector<DwarfFrame>> Look(uint64_t unit, absl::Span<const uint64_t> addresses);

  // Rows of line tables decoded so far. elfutils keeps them, some 40 bytes each, until the file is
  // closed.
  size_t rows() const { return rows_; }

 private:
  std::string ScopedName(Dwarf_Die* die);
  std::vector<DwarfFrame> FramesOf(Dwarf_Die* unit, std::vector<Dwarf_Die>& around,
                                   Dwarf_Addr address);

  Dwarf* dwarf_ = nullptr;
  Dwarf_Addr bias_ = 0;             // DWARF's address + bias_ = the ELF's virtual address
  IntervalIndex<Dwarf_Off> units_;  // offset of the unit's root entry
  size_t rows_ = 0;
  absl::flat_hash_map<Dwarf_Off, std::string>
      scoped_names_;  // by the entry that declares the function
};

}  // namespace heapecho::symbolizer

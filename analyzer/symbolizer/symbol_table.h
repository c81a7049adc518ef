// SPDX-License-Identifier: Apache-2.0
// A module's symbols, sorted for looking up.
#pragma once

#include <cstdint>

#include "analyzer/symbolizer/interval_index.h"
#include "analyzer/symbolizer/module_file.h"

namespace heapecho::symbolizer {

// Functions only. Where several symbols name one address, the one that programs link against wins:
// global before weak before local, then the one with fewer leading underscores, then by name. A
// symbol without a size reaches to the next one of its section; inside of a sized one it is a label
// and no function. Between sized symbols there is no name: a stripped library's local functions are
// not taken for its exported neighbours.
class SymbolTable {
 public:
  explicit SymbolTable(const ModuleFile& file);  // must outlive the names

  // As the linker spells it; nullptr when no function is known there.
  const char* Find(uint64_t address) const;

 private:
  IntervalIndex<const char*> names_;
};

}  // namespace heapecho::symbolizer

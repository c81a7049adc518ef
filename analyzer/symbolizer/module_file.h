// SPDX-License-Identifier: Apache-2.0
// Finds and opens the file that a module was: the module's own if it is still the same, else its
// debug file.
#pragma once

#include <elfutils/libdwfl.h>

#include <memory>
#include <string>
#include <variant>

#include "analyzer/model/recording.h"
#include "analyzer/symbolizer/symbolizer.h"

namespace heapecho::symbolizer {

// An opened module. Addresses are the ELF's own virtual addresses: nothing is relocated.
class ModuleFile {
 public:
  // The opened file, or why there is none, as a sentence that names the module. `options` must
  // outlive it.
  static std::variant<std::unique_ptr<ModuleFile>, std::string> Open(const model::Module& module,
                                                                     const ElfOptions& options);
  ~ModuleFile();
  ModuleFile(const ModuleFile&) = delete;
  ModuleFile& operator=(const ModuleFile&) = delete;

  // Never null. Whatever elfutils hands out by it lives as long as this object.
  Dwfl_Module* dwfl() const { return module_; }

 private:
  ModuleFile() = default;
  static int FindDebugInfo(Dwfl_Module*, void** userdata, const char*, Dwarf_Addr, const char* file,
                           const char* link, GElf_Word crc, char** found);

  const ElfOptions* options_ = nullptr;
  std::string directory_;  // of the module's path as recorded
  std::string build_id_;   // lower-case hex; empty: none
  Dwfl* session_ = nullptr;
  Dwfl_Module* module_ = nullptr;
};

}  // namespace heapecho::symbolizer

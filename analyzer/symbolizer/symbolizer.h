// SPDX-License-Identifier: Apache-2.0
// Addresses to names: what function, file and line lay at an ELF virtual address of a module.
//
// Names come from the module's file on this machine: its symbol tables (.symtab, .dynsym, the
// compressed one of .gnu_debugdata), a separate debug file (by build-id below the debug
// directories, or by .gnu_debuglink with its checksum), and DWARF where there is any: inlined
// functions, files and lines. C++ names are demangled with their parameters, Rust names without the
// hash of the old scheme.
//
// A file is believed only if its build-id is the one that was recorded: a library that was replaced
// since (an upgrade, another image) has other functions at the same addresses. Where the file is
// missing or another one, the debug directories are still asked for the recorded build-id; failing
// that, frames are named by address ("0x1a2b") and one warning per module says why. A module
// recorded without a build-id is believed if its file has none either.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/recording.h"

namespace heapecho::symbolizer {

// The frames at one address: at least one, innermost first; all but the last are `inlined`.
using Frames = std::vector<model::Frame>;

class Symbolizer {
 public:
  virtual ~Symbolizer() = default;

  // The frames at each of `addresses` (ELF virtual addresses made for looking up, see model::Node),
  // in their order. Never fails: what has no name is named by its address. Asking for all addresses
  // of a module at once is what makes it fast: each debugging section is walked once a call. Not
  // thread-safe.
  virtual std::vector<Frames> Symbolize(const model::Module& module,
                                        absl::Span<const uint64_t> addresses) = 0;

  // What kept modules from being named, one sentence each, in the order in which it was met.
  virtual std::vector<std::string> Warnings() const = 0;
};

struct ElfOptions {
  // Put in front of every module path and debug directory: the root of the image that was recorded.
  // Empty: this machine's own root.
  std::string sysroot{};
  std::vector<std::string> debug_directories = {"/usr/lib/debug"};
};

// Reads ELF files with elfutils. Keeps the answers (so asking twice costs a lookup), not the files:
// while a module is worked on, its symbol table is held sorted (some 24 bytes a symbol) and its
// DWARF is decoded only for the compilation units that an address falls into; both are given back
// before the call returns.
std::unique_ptr<Symbolizer> MakeElfSymbolizer(ElfOptions options);

}  // namespace heapecho::symbolizer

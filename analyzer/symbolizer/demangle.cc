// SPDX-License-Identifier: Apache-2.0
// Names of the linker to names of the language: libstdc++'s demangler for C++, libiberty's for Rust.
#include "analyzer/symbolizer/demangle.h"

#include <cxxabi.h>

// The header declares basename() anew where it is not told that libc does.
#define HAVE_DECL_BASENAME 1
#include <libiberty/demangle.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace heapecho::symbolizer {
namespace {

// Longer names are shown as they are: demangling can take many times the memory of the name.
constexpr size_t kMaxLength = 1 << 16;

struct Free {
  void operator()(char* p) const { std::free(p); }
};
using Text = std::unique_ptr<char, Free>;

}  // namespace

bool IsMangled(const char* name) {
  const absl::string_view text(name);
  return absl::StartsWith(text, "_Z") || absl::StartsWith(text, "_R");
}

std::string Demangle(const char* name) {
  if (!IsMangled(name) || absl::string_view(name).size() > kMaxLength) return name;
  // Rust first: its old scheme is valid C++ too, with the hash as a last component and $-escapes.
  if (Text rust{rust_demangle(name, 0)}) return rust.get();
  int status = 0;
  if (Text cxx{abi::__cxa_demangle(name, nullptr, nullptr, &status)}; status == 0 && cxx) return cxx.get();
  return name;
}

}  // namespace heapecho::symbolizer

// SPDX-License-Identifier: Apache-2.0
// Names of the linker to names of the language: libstdc++'s demangler for C++, libiberty's for
// Rust.
#include "analyzer/symbolizer/demangle.h"

#include <cxxabi.h>

// The header declares basename() anew where it is not told that libc does.
#define HAVE_DECL_BASENAME 1
#include <libiberty/demangle.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace heapecho::symbolizer {
namespace {

// Longer names are shown as they are: demangling can take many times the memory of the name.
constexpr size_t kMaxLength = 1 << 16;

struct Free {
  void operator()(char* p) const { std::free(p); }
};
using Text = std::unique_ptr<char, Free>;

// What GCC and LLVM append to the name of a part or a copy of a function; a number may follow.
constexpr absl::string_view kSuffixes[] = {".part",     ".isra", ".constprop",  ".cold",  ".hot",
                                           ".lto_priv", ".llvm", ".localalias", ".clone", ".warm"};

absl::string_view WithoutSuffixes(absl::string_view name) {
  for (;;) {
    const size_t digits =
        name.size() - std::min(name.size(), name.find_last_not_of("0123456789") + 1);
    absl::string_view rest = name;
    if (digits != 0) {
      rest.remove_suffix(digits);
      if (!absl::ConsumeSuffix(&rest, ".")) return name;
    }
    const auto is_at_end = [&rest](absl::string_view suffix) {
      return rest.size() > suffix.size() && absl::EndsWith(rest, suffix);
    };
    const auto* suffix = std::find_if(std::begin(kSuffixes), std::end(kSuffixes), is_at_end);
    if (suffix == std::end(kSuffixes)) return name;
    name = rest.substr(0, rest.size() - suffix->size());
  }
}

}  // namespace

bool IsMangled(absl::string_view name) {
  return absl::StartsWith(name, "_Z") || absl::StartsWith(name, "_R");
}

std::string Demangle(std::string name) {
  // A symbol table spells versions out: name@VERSION, name@@VERSION. A stripped library's does not, and the same
  // function should have the same name.
  if (const size_t version = name.find('@'); version != 0 && version != std::string::npos) {
    name.resize(version);
  }
  name.resize(WithoutSuffixes(name).size());
  if (!IsMangled(name) || name.size() > kMaxLength) return name;
  // Rust first: its old scheme is valid C++ too, with the hash as a last component and $-escapes.
  if (Text rust{rust_demangle(name.c_str(), 0)}) return rust.get();
  int status = 0;
  Text cxx{abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status)};
  return status == 0 && cxx ? cxx.get() : name;
}

}  // namespace heapecho::symbolizer

// SPDX-License-Identifier: Apache-2.0
// Names of the linker to names of the language.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace heapecho::symbolizer {

// C++ (Itanium) and Rust (both schemes) names as their programmers wrote them: C++ with parameters,
// Rust without hash and crate disambiguators. Any other name, and one that is none after all, comes
// back as it is. The parts and copies that a compiler makes of a function (".part.0",
// ".constprop.1", ".cold") go by the function's own name, so that a name does not depend on the
// build.
std::string Demangle(std::string name);

// Whether `name` is spelt by the rules of one of these languages, so that it also says scope or
// parameters.
bool IsMangled(absl::string_view name);

}  // namespace heapecho::symbolizer

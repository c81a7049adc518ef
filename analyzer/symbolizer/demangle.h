// SPDX-License-Identifier: Apache-2.0
// Names of the linker to names of the language.
#pragma once

#include <string>

namespace heapecho::symbolizer {

// C++ (Itanium) and Rust (both schemes) names as their programmers wrote them: C++ with parameters, Rust
// without hash and crate disambiguators. Any other name, and one that is none after all, comes back as it
// is. `name` must not be null.
std::string Demangle(const char* name);

// Whether Demangle() may say more about `name` than it says itself.
bool IsMangled(const char* name);

}  // namespace heapecho::symbolizer

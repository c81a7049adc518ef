// SPDX-License-Identifier: Apache-2.0
// The files that the HTML flame graph is put together from, built into the program (embed.cmake).
#pragma once

#include "absl/strings/string_view.h"

namespace heapecho::output {

struct PagePart {
  absl::string_view text;
  absl::string_view sha256;  // of the text, in hexadecimal
};

extern const PagePart kPageTemplate;  // flamegraph.html, {{NAME}} where something goes in
extern const PagePart kPageStyle;     // flamegraph.css
extern const PagePart kPageScript;    // flamegraph.js

}  // namespace heapecho::output

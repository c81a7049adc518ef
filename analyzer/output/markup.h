// SPDX-License-Identifier: Apache-2.0
// Names made safe for the page: they come out of binaries and recordings and may say anything.
// Pure functions.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace heapecho::output {

// The text as valid UTF-8: what is not, and the control characters that XML forbids, become U+FFFD.
std::string CleanText(absl::string_view text);

// Cleaned, with & < > " ' escaped: safe as an element's text and inside a quoted attribute.
std::string EscapeMarkup(absl::string_view text);

// Cleaned, as a JSON string literal with its quotes. < > & stand as \u escapes, so that the literal
// can lie inside a <script> element whatever it says.
std::string JsonString(absl::string_view text);

}  // namespace heapecho::output

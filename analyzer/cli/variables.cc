// SPDX-License-Identifier: Apache-2.0
// The library's environment variables; the contract is in the header.
#include "analyzer/cli/variables.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/numbers.h"

namespace heapecho::cli {

bool IsSize(absl::string_view text) {
  const auto digits_end =
      std::find_if(text.begin(), text.end(), [](char c) { return c < '0' || c > '9'; });
  const auto digits = static_cast<size_t>(digits_end - text.begin());
  const absl::string_view unit = text.substr(digits);
  int shift = 0;
  if (unit == "K" || unit == "KiB") {
    shift = 10;
  } else if (unit == "M" || unit == "MiB") {
    shift = 20;
  } else if (unit == "G" || unit == "GiB") {
    shift = 30;
  } else if (!unit.empty()) {
    return false;
  }
  uint64_t value = 0;
  return absl::SimpleAtoi(text.substr(0, digits), &value) && value != 0 &&
         value <= (uint64_t{1} << 62) >> shift;
}

}  // namespace heapecho::cli

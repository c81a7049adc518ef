// SPDX-License-Identifier: Apache-2.0
// What was wrong with a recording, collected while it is read: each kind of damage once, with its
// count.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapecho::reader {

// Bounded by the number of kinds, however much is damaged. Not thread-safe.
class Complaints {
 public:
  void Say(std::string text) { said_.push_back({std::move(text), 0}); }

  // `text` continues a number: "stacks name frames that are not there". Literals only.
  void Count(const char* text, uint64_t times = 1) {
    if (times == 0) return;
    for (auto& [known, count] : said_) {
      if (count != 0 && known == text) {
        count += times;
        return;
      }
    }
    said_.push_back({text, times});
  }

  // In the order of first occurrence.
  std::vector<std::string> Take() {
    std::vector<std::string> lines;
    for (auto& [text, count] : said_) {
      lines.push_back(count == 0 ? std::move(text) : absl::StrCat(count, " ", text));
    }
    said_.clear();
    return lines;
  }

 private:
  std::vector<std::pair<std::string, uint64_t>> said_;
};

}  // namespace heapecho::reader

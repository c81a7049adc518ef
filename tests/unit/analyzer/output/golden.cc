// SPDX-License-Identifier: Apache-2.0
// Outputs compared to the byte; the contract is in the header.
#include "tests/unit/analyzer/output/golden.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace heapecho::output {

testing::AssertionResult IsGolden(const std::string& name, const std::string& text) {
  const std::string path = std::string(HEAPECHO_GOLDEN) + "/" + name;
  if (const char* write = std::getenv("HEAPECHO_WRITE_GOLDEN"); write != nullptr && *write == '1') {
    std::ofstream(path, std::ios::binary) << text;
    return testing::AssertionFailure() << path << " was written";
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return testing::AssertionFailure() << path << " is not there";
  const std::string golden{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (golden == text) return testing::AssertionSuccess();
  const size_t shorter = std::min(golden.size(), text.size());
  const auto part = static_cast<size_t>(
      std::mismatch(golden.begin(), golden.begin() + static_cast<ptrdiff_t>(shorter), text.begin())
          .first -
      golden.begin());
  const size_t from = part < 60 ? 0 : part - 60;
  return testing::AssertionFailure()
         << path << " parts at byte " << part << ":\n  golden ..." << golden.substr(from, 120)
         << "\n  now    ..." << text.substr(from, 120);
}

}  // namespace heapecho::output

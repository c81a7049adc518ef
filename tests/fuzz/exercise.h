// SPDX-License-Identifier: Apache-2.0
// Takes any bytes the whole way that a recording goes, from the reader to every output, and says
// which promise broke, if one did. What a sanitizer sees on the way ends the program by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>

#include "absl/types/span.h"

namespace heapecho::testing {

// Remembers which recordings it has seen, so that bytes which read as the same one cost only the
// reading. Not thread-safe.
class Exerciser {
 public:
  // Empty when all went well: a clear error that names the file, or a valid recording that each
  // output can write. Else one sentence.
  std::string Run(absl::Span<const uint8_t> bytes);

  // The same without the outputs, for bytes by the ten thousand.
  std::string RunReader(absl::Span<const uint8_t> bytes);

  size_t errors() const { return errors_; }          // runs that ended with a clear error
  size_t recordings() const { return recordings_; }  // runs that gave a recording
  size_t different() const { return seen_.size(); }  // and how many different ones these were

 private:
  std::string Run(absl::Span<const uint8_t> bytes, bool with_outputs);

  size_t errors_ = 0, recordings_ = 0;
  std::unordered_set<size_t> seen_;  // by hash of their dump
};

}  // namespace heapecho::testing

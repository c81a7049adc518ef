// SPDX-License-Identifier: Apache-2.0
// Where a recording's bytes come from: a file that may change or shrink meanwhile, or memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace heapecho::reader {

struct ByteRange {
  uint64_t begin, end;  // bytes; begin < end
};

// Not thread-safe. Nothing is mapped: a file that is truncated while it is read gives short reads,
// no signal.
class Source {
 public:
  virtual ~Source() = default;

  virtual uint64_t size() const = 0;        // bytes, at the time of opening
  virtual uint64_t disk_bytes() const = 0;  // what a sparse file really takes

  // Copies up to `length` bytes from `offset` to `out` and returns how many there were before the
  // end or a fault of the device, which `error` then names.
  virtual size_t Read(uint64_t offset, size_t length, void* out) = 0;

  // The parts of [begin, end) that may hold something else than zeros, ascending, disjoint, within
  // the file.
  virtual std::vector<ByteRange> Present(uint64_t begin, uint64_t end) = 0;

  virtual std::string error() const { return ""; }
};

// The bytes must outlive the source.
std::unique_ptr<Source> MemorySource(absl::Span<const uint8_t> bytes);

// Errors name the file: it does not exist, may not be read, is no regular file.
absl::StatusOr<std::unique_ptr<Source>> OpenFile(const std::string& path);

}  // namespace heapecho::reader

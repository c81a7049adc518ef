// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/size_classes.h"

#include <algorithm>
#include <bit>

#include "absl/strings/match.h"

namespace heapecho::aggregator {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t RoundUp(uint64_t size, uint64_t unit) { return (size + unit - 1) / unit * unit; }

// A chunk has a word of header and is a multiple of 16, 32 at least. Above the threshold it is a
// mapping of its own with a header of 16; the threshold moves with what is freed, which changes the
// rounding of a large block by less than a page.
uint64_t GlibcBytes(uint64_t size) {
  constexpr uint64_t kFirstThreshold = 128 << 10;
  if (size >= kFirstThreshold) return RoundUp(size + 16, kPage);
  return std::max<uint64_t>(RoundUp(size + 8, 16), 32);
}

// Multiples of `quantum` up to eight of them, then `steps` classes for each power of two.
uint64_t ClassBytes(uint64_t size, uint64_t quantum, uint64_t steps) {
  if (size <= quantum * 8) return std::max(RoundUp(size, quantum), quantum);
  const uint64_t power = std::bit_floor(size - 1);
  return RoundUp(size, std::max(power / steps, quantum));
}

uint64_t BytesOf(Allocator allocator, uint64_t size) {
  switch (allocator) {
    case Allocator::kGlibc:
      return GlibcBytes(size);
    case Allocator::kJemalloc:
      return size <= 8 ? 8 : ClassBytes(size, 16, 4);
    case Allocator::kTcmalloc:
      return size <= 8 ? 8 : ClassBytes(size, 16, 8);
    case Allocator::kMimalloc:
      return ClassBytes(size, 8, 4);
  }
  return size;
}

}  // namespace

Allocator AllocatorOf(absl::string_view path) {
  const absl::string_view name = path.substr(path.rfind('/') + 1);
  if (absl::StrContains(name, "jemalloc")) return Allocator::kJemalloc;
  if (absl::StrContains(name, "tcmalloc")) return Allocator::kTcmalloc;
  if (absl::StrContains(name, "mimalloc")) return Allocator::kMimalloc;
  return Allocator::kGlibc;
}

uint64_t OverheadOf(Allocator allocator, uint64_t size) {
  constexpr uint64_t kLargest = uint64_t{1} << 47;  // no block is, and sums stay in range
  size = std::min(size, kLargest);
  const uint64_t overhead = BytesOf(allocator, size) - size;
  const uint64_t to_the_end_of_its_page = RoundUp(size + 16, kPage) - size;
  return std::min(overhead, to_the_end_of_its_page);
}

uint64_t PythonObjectBytes(uint64_t size) { return std::max<uint64_t>(RoundUp(size, 16), 16); }

}  // namespace heapecho::aggregator

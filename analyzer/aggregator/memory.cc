// SPDX-License-Identifier: Apache-2.0
// Where a process's memory went; the contract is in the header.
#include "analyzer/aggregator/memory.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "analyzer/aggregator/size_classes.h"

namespace heapecho::aggregator {
namespace {

using model::Domain;

// What the live blocks say of themselves at the end; at an earlier point in proportion to what was
// live then.
struct AtTheEnd {
  std::array<double, 4> live{}, overhead{};
  double displaced = 0;  // what malloc pays for those that were sampled
};

AtTheEnd Sum(const model::Recording& recording, absl::Span<const model::LiveBlock> live_blocks,
             absl::Span<const model::Stack> stacks) {
  // A small object that is sampled lies in malloc, as if it were one of this size.
  constexpr uint64_t kDisplaced = model::kLargestSmallObject + 1;
  const Allocator allocator = AllocatorOf(recording.identity.allocator);
  const double displaced = static_cast<double>(kDisplaced + OverheadOf(allocator, kDisplaced));
  AtTheEnd sum;
  for (const model::LiveBlock& block : live_blocks) {
    const size_t stack = block.stack.value < stacks.size() ? block.stack.value : 0;
    const Domain domain = stacks.empty() ? Domain::kMalloc : stacks[stack].domain;
    const auto index = static_cast<size_t>(domain);
    sum.live[index] += block.weight * static_cast<double>(block.size);
    if (domain == Domain::kPython && block.size <= model::kLargestSmallObject) {
      const uint64_t bytes = PythonObjectBytes(block.size);
      sum.overhead[index] += block.weight * static_cast<double>(bytes - block.size);
      sum.displaced += displaced;
    } else if (domain == Domain::kMalloc || domain == Domain::kPython) {
      // What a pool or the kernel rounds is a part of what it keeps.
      sum.overhead[index] += block.weight * static_cast<double>(OverheadOf(allocator, block.size));
    }
  }
  return sum;
}

model::Retained RetainedAt(const model::HistoryPoint& point) {
  const model::HistoryPoint::Parts& parts = point.parts;
  model::Retained retained;
  if (parts.malloc_free_known) retained.malloc = static_cast<double>(parts.malloc_free);
  if (parts.allocators_known && parts.python_arenas > 0) {
    retained.python = std::max(0.0, static_cast<double>(parts.python_arenas) - parts.python_small);
  }
  return retained;
}

}  // namespace

model::MemoryAccount AccountOf(const model::Recording& recording,
                               absl::Span<const model::LiveBlock> live_blocks,
                               absl::Span<const model::Stack> stacks,
                               const model::HistoryPoint& point) {
  model::MemoryAccount account;
  account.known = point.rss_known;
  if (!account.known) return account;
  account.realtime_ns = point.realtime_ns;
  account.rss = static_cast<double>(point.rss());
  account.swapped = static_cast<double>(point.swap);
  account.live = point.domain_live;
  account.live_error = point.live.BytesError();

  const AtTheEnd end = Sum(recording, live_blocks, stacks);
  const auto scale = [&](Domain domain) {
    const auto index = static_cast<size_t>(domain);
    return end.live[index] > 0 ? account.live[index] / end.live[index] : 0.0;
  };
  for (const Domain domain : {Domain::kMalloc, Domain::kPython})
    account.overhead += end.overhead[static_cast<size_t>(domain)] * scale(domain);
  account.retained = RetainedAt(point);
  const double files = static_cast<double>(point.rss_file + point.rss_shmem);
  const double own_file = std::min(files, static_cast<double>(recording.disk_bytes));
  account.own = own_file + end.displaced * scale(Domain::kPython);
  account.file_backed = files - own_file;
  return account;
}

}  // namespace heapecho::aggregator

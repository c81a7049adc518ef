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
  std::array<double, 4> in_malloc{};  // of live, with what malloc adds
  double displaced = 0;               // what malloc pays for those that were sampled
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
      const auto overhead = static_cast<double>(OverheadOf(allocator, block.size));
      sum.overhead[index] += block.weight * overhead;
      sum.in_malloc[index] += block.weight * (static_cast<double>(block.size) + overhead);
    }
  }
  return sum;
}

// Amounts below nothing come of live bytes that were estimated too high.
double NotBelowZero(double bytes) { return std::max(bytes, 0.0); }

double Bytes(uint64_t bytes) { return static_cast<double>(bytes); }

model::Retained RetainedAt(const model::HistoryPoint& point) {
  const model::HistoryPoint::Parts& parts = point.parts;
  model::Retained retained;
  if (parts.malloc_free_known) retained.malloc = Bytes(parts.malloc_free);
  if (parts.allocators_known && parts.python_arenas > 0)
    retained.python = NotBelowZero(Bytes(parts.python_arenas) - Bytes(parts.python_small));
  if (parts.presence_known && parts.arrow_reserve > 0) {
    retained.arrow = NotBelowZero(Bytes(parts.arrow_reserve) -
                                  point.domain_live[static_cast<size_t>(Domain::kArrow)]);
  }
  return retained;
}

double FilePages(const model::Recording& recording) {
  double bytes = 0;
  for (const model::Range& range : recording.ranges) {
    if (range.kind == model::Range::Kind::kFile) bytes += range.weight * Bytes(range.counted);
  }
  return bytes;
}

// What is heapecho's: its tables, its file, the library. Before it looked itself, its file.
void SetOwn(const model::Recording& recording, const model::HistoryPoint& point, double displaced,
            model::MemoryAccount* account) {
  const model::HistoryPoint::Parts& parts = point.parts;
  const double files = Bytes(point.rss_file + point.rss_shmem);
  double own_file = Bytes(parts.presence_known ? parts.own_file : recording.disk_bytes);
  own_file = std::min(own_file, files);
  account->own = own_file + Bytes(parts.own_private) + displaced;
  account->file_backed =
      NotBelowZero(files - own_file - Bytes(parts.shared_live)) + Bytes(parts.file_private);
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
  account.rss = Bytes(point.rss());
  account.swapped = Bytes(point.swap);
  account.live = point.domain_live;
  account.live_error = point.live.BytesError();
  account.retained = RetainedAt(point);
  if (point.parts.presence_known) {
    account.stacks = Bytes(point.parts.stacks);
    account.untouched = Bytes(point.parts.untouched);
    account.inherited = Bytes(point.parts.inherited);
  }
  const AtTheEnd end = Sum(recording, live_blocks, stacks);
  const auto scale = [&](Domain domain) {
    const auto index = static_cast<size_t>(domain);
    return end.live[index] > 0 ? account.live[index] / end.live[index] : 0.0;
  };
  for (const Domain domain : {Domain::kMalloc, Domain::kPython})
    account.overhead += end.overhead[static_cast<size_t>(domain)] * scale(domain);
  // Pages of mapped files are live at their sites, and here what the kernel can drop.
  auto& mapped = account.live[static_cast<size_t>(Domain::kMmap)];
  mapped = NotBelowZero(mapped - FilePages(recording) * scale(Domain::kMmap));
  const double displaced = end.displaced * scale(Domain::kPython);
  SetOwn(recording, point, displaced, &account);
  if (!account.retained.malloc && point.parts.presence_known) {
    // Malloc did not say: what is present of its heap, less what lives there. Below a tenth of what
    // is resident that is as good as nothing, and the error of what is live as large.
    constexpr double kWorthSaying = 0.1;
    double held = displaced;
    for (const Domain domain : {Domain::kMalloc, Domain::kPython})
      held += end.in_malloc[static_cast<size_t>(domain)] * scale(domain);
    const double kept = Bytes(point.parts.malloc_heap) - held;
    if (kept > kWorthSaying * account.rss) account.retained.malloc = kept;
  }
  return account;
}

}  // namespace heapecho::aggregator

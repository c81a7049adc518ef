// SPDX-License-Identifier: Apache-2.0
// Half-open address ranges, looked up by address: a sorted array, no node per range.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace heapecho::symbolizer {

// Ranges may overlap, nest and repeat. Build once, then look up; lookups may run side by side.
template <typename Payload>
class IntervalIndex {
 public:
  struct Entry {
    uint64_t start = 0, end = 0;
    Payload payload{};
  };

  IntervalIndex() = default;
  // Empty ranges are left out. Of ranges that start at the same address, the one that was given
  // first is found first.
  explicit IntervalIndex(std::vector<Entry> entries) : entries_(std::move(entries)) {
    std::erase_if(entries_, [](const Entry& e) { return e.start >= e.end; });
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.start < b.start; });
    reach_.reserve(entries_.size());
    uint64_t reach = 0;
    for (const Entry& entry : entries_) reach_.push_back(reach = std::max(reach, entry.end));
  }

  // The range around `address` that starts last; nullptr when none is around it. Takes logarithmic
  // time where few ranges overlap.
  const Entry* Find(uint64_t address) const {
    auto after = std::upper_bound(entries_.begin(), entries_.end(), address,
                                  [](uint64_t a, const Entry& e) { return a < e.start; });
    const Entry* found = nullptr;
    for (size_t i = static_cast<size_t>(after - entries_.begin()); i-- > 0;) {
      if (found != nullptr && entries_[i].start != found->start) break;
      if (address < entries_[i].end) found = &entries_[i];
      if (reach_[i] <= address) break;  // nothing from here to the left gets as far as `address`
    }
    return found;
  }

  size_t size() const { return entries_.size(); }

 private:
  std::vector<Entry> entries_;   // by start
  std::vector<uint64_t> reach_;  // the largest end of entries_[0..i]
};

}  // namespace heapecho::symbolizer

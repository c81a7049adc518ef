// SPDX-License-Identifier: Apache-2.0
// Records that are valid by a check, of a file that may be written to while it is read.
#pragma once

#include <cstdint>

#include "analyzer/reader/source.h"
#include "preload/wire/format.h"

namespace heapecho::reader {

// The record as it is a moment later: a running process may have been at it. Few looks, since in a
// damaged file nothing changes.
class SecondLook {
 public:
  explicit SecondLook(Source& source) : source_(source) {}

  template <typename Record>
  bool Read(uint64_t offset, uint64_t seed, Record* record) {
    if (looks_left_ == 0) return false;
    --looks_left_;
    return source_.Read(offset, sizeof *record, record) == sizeof *record &&
           record->check == wire::CheckOf(*record, seed);
  }

 private:
  Source& source_;
  int looks_left_ = 1000;
};

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// The section table of a recording, reduced to what can be read, and the walk over a section's
// records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "analyzer/model/recording.h"
#include "analyzer/reader/complaints.h"
#include "analyzer/reader/source.h"
#include "preload/wire/format.h"

namespace heapecho::reader {

// A part of the file that is known to lie inside it and to share no byte with another one.
struct Part {
  uint64_t offset = 0;       // bytes
  uint64_t size = 0;         // bytes that the file really has; 0: no such section
  uint32_t record_size = 0;  // bytes; of a log 1
  uint64_t records = 0;      // committed ones (of a log: bytes), at most what fits into size
};

class Sections {
 public:
  // Takes the table as `header` has it. Sections that overlap, lie elsewhere than on pages behind
  // the header, or have records of a size that cannot be are left out, and `complaints` say so.
  Sections(const wire::FileHeader& header, Source& source, Complaints& complaints);

  // The section as it is now: a process that writes it may have committed more since. Empty when
  // there is none.
  Part Find(wire::SectionKind kind) const;

  std::vector<model::SectionInfo> Describe() const;

 private:
  struct Entry {
    wire::Section section;
    size_t index;   // in the header's table
    uint64_t size;  // bytes that the file really has
    bool usable;
  };

  Part PartOf(const Entry& entry) const;

  Source& source_;
  std::vector<Entry> entries_;
};

// Calls `visit` for each of the part's records that may hold something, ascending; those wholly in
// holes are left out. The bytes are valid during the call. Returns how many could not be read.
uint64_t ForEachRecord(Source& source, const Part& part,
                       absl::FunctionRef<void(uint64_t index, const uint8_t* bytes)> visit);

// One more than the last record that lies in present bytes, but hardly more records than those
// bytes can hold: how long an array may be without holding holes in memory.
uint64_t PresentRecords(Source& source, const Part& part);

// The first `part.records` bytes of a log, bounded as PresentRecords() says.
std::vector<uint8_t> ReadLog(Source& source, const Part& part);

}  // namespace heapecho::reader

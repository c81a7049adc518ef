// SPDX-License-Identifier: Apache-2.0
// The threads that were sampled, with their names.
#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>

#include "analyzer/reader/parts.h"

namespace heapecho::reader {

void ReadThreads(Source& source, const Part& part, model::Recording& recording) {
  ForEachRecord(source, part, [&](uint64_t, const uint8_t* bytes) {
    const auto record = Load<wire::ThreadRecord>(bytes);
    if (record.thread == 0) return;  // not yet written
    recording.threads.push_back(
        {.id = record.thread,
         .ordinal = record.ordinal,
         .first_seen_ns = record.first_seen_ns,
         .name = std::string(record.name, strnlen(record.name, sizeof record.name))});
  });
  std::stable_sort(recording.threads.begin(), recording.threads.end(),
                   [](const model::Thread& a, const model::Thread& b) {
                     return std::tie(a.id, a.first_seen_ns) < std::tie(b.id, b.first_seen_ns);
                   });
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// The steps of reading a recording, one a file; reader.cc calls them in an order that suits a file
// which is being written: what refers to something is read before what it refers to. Each makes its
// part of the model valid and complains about what it had to leave out. Not part of the room's
// interface.
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "analyzer/model/recording.h"
#include "analyzer/reader/complaints.h"
#include "analyzer/reader/reader.h"
#include "analyzer/reader/sections.h"
#include "analyzer/reader/source.h"
#include "preload/wire/format.h"

namespace heapecho::reader {

// header.cc. Sums that are no numbers become zero.
void ReadHeader(const wire::FileHeader& header, model::Recording& recording,
                Complaints& complaints);
// Fixed point to estimates, for the process's totals and for those of stacks.
struct WireTotals {
  uint64_t bytes, objects;
  double bytes_variance, objects_variance;
};
model::Estimate ToEstimate(const WireTotals& totals, Complaints& complaints);

// identity.cc
void ReadIdentity(Source& source, const Part& part, model::Recording& recording,
                  Complaints& complaints);
void ReadCounters(Source& source, const Part& part, model::Recording& recording,
                  Complaints& complaints);

// children.cc
void ReadChildren(Source& source, const Part& part, model::Recording& recording,
                  Complaints& complaints);

// modules.cc
void ReadModules(Source& source, const Part& part, model::Recording& recording,
                 Complaints& complaints);

// samples.cc. Stack ids are those of the file until ResolveStacks() has seen all stacks.
void ReadLive(Source& source, const Part& part, model::Recording& recording,
              Complaints& complaints);
void ReadEvents(Source& source, const Part& part, Events events, model::Recording& recording,
                Complaints& complaints);
void ResolveStacks(model::Recording& recording, Complaints& complaints);

// ranges.cc. After ReadLive(): those that have a weight become live blocks, too. As to stacks, as samples.cc.
void ReadRanges(Source& source, const Part& part, model::Recording& recording,
                Complaints& complaints);

// threads.cc
void ReadThreads(Source& source, const Part& part, model::Recording& recording);

// history.cc. Stack ids are those of the file until ResolveStacks() has seen all stacks.
void ReadHistory(Source& source, const Part& part, model::Recording& recording,
                 Complaints& complaints);

// stacks.cc. ReadStacks before ReadNodes, since the process writes them the other way round.
void ReadStacks(Source& source, const Part& part, uint32_t peak_mark, model::Recording& recording,
                Complaints& complaints);
void ReadNodes(Source& source, const Part& part, model::Recording& recording,
               Complaints& complaints);
// Cuts chains that do not end and leaves that are not there; names modules that are missing.
void RepairNodes(model::Recording& recording, Complaints& complaints);

// python.cc. Nodes name code by the ids of the file until RepairPythonNodes() has seen both.
void ReadPythonNodes(Source& source, const Part& part, model::Recording& recording,
                     Complaints& complaints);
// What becomes of the ids of the file: index into python_code by id.
using CodeIndex = absl::flat_hash_map<uint32_t, uint32_t>;
CodeIndex ReadPythonCode(Source& source, const Part& part, model::Recording& recording,
                         Complaints& complaints);
void RepairPythonNodes(const CodeIndex& index, model::Recording& recording, Complaints& complaints);

// Copies a wire record out of bytes that need not be aligned.
template <typename Record>
Record Load(const uint8_t* bytes) {
  Record record;
  __builtin_memcpy(&record, bytes, sizeof record);
  return record;
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// Stacks and the tree of frames that they share, made safe to walk.
#include <algorithm>
#include <bitset>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "analyzer/reader/chains.h"
#include "analyzer/reader/parts.h"

namespace heapecho::reader {
namespace {

constexpr uint64_t kLocationBits = 48;
static_assert(wire::kEvaluationFrame == uint64_t{1} << (kLocationBits - 1));

// See model::Stack: as if all blocks had the mean size.
model::Estimate WithObjectsVariance(model::Estimate estimate) {
  if (estimate.bytes > 0) {
    const double per_byte = estimate.objects / estimate.bytes;
    const double variance = estimate.bytes_variance * per_byte * per_byte;
    if (std::isfinite(variance)) estimate.objects_variance = variance;
  }
  return estimate;
}

model::Stack ToStack(const wire::StackRecord& record, uint32_t peak_mark, Complaints& complaints) {
  model::Stack stack;
  stack.native_leaf = record.native_leaf;
  stack.python_leaf = record.python_leaf;
  stack.behalf_leaf = record.behalf_leaf;
  if (record.domain <= static_cast<uint8_t>(wire::Domain::kMmap)) {
    stack.domain = static_cast<model::Domain>(record.domain);
  } else if (record.domain != wire::kNoDomain) {
    complaints.Count("stacks are of an unknown domain; they count as malloc");
  }
  stack.truncated = (record.flags & wire::kStackTruncated) != 0;
  stack.cut = (record.flags & wire::kStackCut) != 0;
  stack.broken = (record.flags & wire::kStackBroken) != 0;
  stack.first_seen_ns = record.first_seen_ns;
  stack.samples = record.samples;
  const auto estimate = [&](uint64_t bytes, uint64_t objects, double variance) {
    return WithObjectsVariance(ToEstimate({bytes, objects, variance, 0}, complaints));
  };
  stack.allocated =
      estimate(record.allocated_bytes, record.allocated_objects, record.allocated_variance);
  stack.freed = estimate(record.freed_bytes, record.freed_objects, 0);
  stack.live = estimate(record.live_bytes, record.live_objects, record.live_variance);
  stack.peak = record.peak_mark == peak_mark
                   ? estimate(record.peak_bytes, record.peak_objects, record.peak_variance)
                   : stack.live;
  return stack;
}

}  // namespace

void ReadStacks(Source& source, const Part& part, uint32_t peak_mark, model::Recording& recording,
                Complaints& complaints) {
  const uint64_t count =
      std::min<uint64_t>(PresentRecords(source, part), std::numeric_limits<uint32_t>::max());
  recording.stacks.resize(std::max<uint64_t>(1, count));
  ForEachRecord(source, part, [&](uint64_t index, const uint8_t* bytes) {
    if (index >= count) return;
    const auto record = Load<wire::StackRecord>(bytes);
    recording.stacks[index] = ToStack(record, peak_mark, complaints);
  });
  recording.stacks[wire::kUnknownStack].native_leaf = 0;
  recording.stacks[wire::kUnknownStack].python_leaf = 0;
  recording.stacks[wire::kUnknownStack].behalf_leaf = 0;
}

void ReadNodes(Source& source, const Part& part, model::Recording& recording, Complaints&) {
  const uint64_t count =
      std::min<uint64_t>(PresentRecords(source, part), std::numeric_limits<uint32_t>::max());
  recording.native_nodes.resize(std::max<uint64_t>(1, count));
  ForEachRecord(source, part, [&](uint64_t index, const uint8_t* bytes) {
    if (index >= count || index == 0) return;
    const auto record = Load<wire::NodeRecord>(bytes);
    const uint64_t location = uint64_t{record.location_high} << 32 | record.location_low;
    recording.native_nodes[index] = {.parent = record.parent,
                                     .module = static_cast<uint16_t>(location >> kLocationBits),
                                     .address = location & (wire::kEvaluationFrame - 1),
                                     .evaluates_python = (location & wire::kEvaluationFrame) != 0};
  });
}

void RepairNodes(model::Recording& recording, Complaints& complaints) {
  std::vector<model::Node>& nodes = recording.native_nodes;
  // A node without a location was never written: a frame, but not one that can be said anything
  // about.
  const auto is_written = [&nodes](uint64_t index) {
    return index == 0 ||
           (index < nodes.size() && (nodes[index].module != 0 || nodes[index].address != 0));
  };

  const std::vector<bool> cut = RepairChains<model::Node>(nodes, is_written, complaints);

  for (model::Stack& stack : recording.stacks) {
    if (!is_written(stack.native_leaf)) {
      if (stack.first_seen_ns <= recording.tables_ns)
        complaints.Count("stacks name frames that are not there; they are shown without");
      stack.native_leaf = 0;
      stack.broken = true;
    } else if (cut[stack.native_leaf]) {
      stack.broken = true;
    }
  }

  // Frames in a module that has no record keep their addresses, under a module without a name.
  auto known = std::make_unique<std::bitset<65536>>();
  known->set(0);
  for (const model::Module& module : recording.modules) known->set(module.id);
  bool added = false;
  for (uint64_t i = 1; i < nodes.size(); ++i) {
    const uint16_t id = nodes[i].module;
    if (known->test(id)) continue;
    known->set(id);
    added = true;
    complaints.Count(
        "modules are named by frames but not listed; their frames have addresses only");
    model::Module& module = recording.modules.emplace_back();
    module.id = id;
  }
  if (added) {
    std::sort(recording.modules.begin(), recording.modules.end(),
              [](const model::Module& a, const model::Module& b) { return a.id < b.id; });
  }
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// Live blocks and events: sampled allocations and frees, each valid by its own check.
#include <algorithm>
#include <limits>
#include <vector>

#include "analyzer/reader/parts.h"
#include "analyzer/reader/second_look.h"

namespace heapecho::reader {
namespace {

// A weight says how many allocations a sampled one stands for: at least itself.
constexpr double kMostWeight = 1e12;
constexpr size_t kMostWriters = 1024;  // of events; more are no recording's doing

template <typename Record>
bool IsSound(const Record& record) {
  return record.weight >= 1 && record.weight <= kMostWeight && record.interval != 0;
}

struct Block {
  uint64_t sequence;
  uint64_t started_ns;
  uint64_t index;  // in the section
  uint32_t writer;
};

// Blocks are overwritten from the oldest on. What a writer wrote before the first of its blocks
// that are left may be gone; where the very first block is left, nothing is.
uint64_t CompleteFrom(const std::vector<Block>& blocks, const model::Recording& recording) {
  uint64_t from = recording.begin_ns;
  if (blocks.empty() || blocks.front().sequence == 1) return from;
  std::vector<uint32_t> writers;
  for (const Block& block : blocks) {
    if (std::find(writers.begin(), writers.end(), block.writer) != writers.end()) continue;
    writers.push_back(block.writer);
    if (writers.size() > kMostWriters) return std::numeric_limits<uint64_t>::max();
    from = std::max(from, block.started_ns);
  }
  return from;
}

std::vector<Block> FindBlocks(Source& source, const Part& part, Complaints& complaints) {
  std::vector<Block> blocks;
  uint64_t next = 0;
  for (const ByteRange& range :
       source.Present(part.offset, part.offset + part.records * part.record_size)) {
    const uint64_t end =
        std::min(part.records, (range.end - part.offset + part.record_size - 1) / part.record_size);
    next = std::max(next, (range.begin - part.offset) / part.record_size);
    for (; next < end; ++next) {
      wire::BlockHeader header;
      const uint64_t offset = part.offset + next * part.record_size;
      if (source.Read(offset, sizeof header, &header) != sizeof header) continue;
      if (header.check == wire::CheckOf(header, wire::kMagic)) {
        if (header.sequence != 0)
          blocks.push_back({header.sequence, header.started_ns, next, header.writer});
      } else if (header.sequence != 0 || header.check != 0) {
        complaints.Count("blocks of events are damaged and were left out");
      }
    }
  }
  std::sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
    return a.sequence != b.sequence ? a.sequence < b.sequence : a.index < b.index;
  });
  return blocks;
}

// Where events that were written reach less far than the live set, what was freed in between is in
// neither: from the events it cannot be told what was live before.
uint64_t CompleteFrom(uint64_t blocks_from_ns, const model::Recording& recording) {
  const bool is_over = recording.process_end != model::ProcessEnd::kRunning;
  const uint64_t moment =
      is_over ? std::min(recording.tables_ns, recording.process_end_ns) : recording.tables_ns;
  return recording.events_complete_to_ns < moment ? std::max(blocks_from_ns, recording.tables_ns)
                                                  : blocks_from_ns;
}

uint64_t MostEvents(Source& source, const Part& part) {
  uint64_t bytes = 0;
  for (const ByteRange& range :
       source.Present(part.offset, part.offset + part.records * part.record_size)) {
    bytes += range.end - range.begin;
  }
  return bytes / sizeof(wire::EventRecord);
}

}  // namespace

void ReadLive(Source& source, const Part& part, model::Recording& recording, Complaints&) {
  recording.live_blocks.reserve(PresentRecords(source, part));
  SecondLook second_look(source);
  const bool forked = !recording.parent_id.IsZero();
  const uint64_t unread = ForEachRecord(source, part, [&](uint64_t slot, const uint8_t* bytes) {
    auto record = Load<wire::LiveRecord>(bytes);
    if (record.check != wire::CheckOf(record, slot)) {
      // An empty slot: never written, or its block was freed.
      if (record.check == 0 && record.address == 0) return;
      if (!second_look.Read(part.offset + slot * sizeof record, slot, &record)) {
        if (record.check != 0 || record.address != 0) ++recording.torn_live;
        return;
      }
    }
    if (!IsSound(record)) {
      ++recording.torn_live;
      return;
    }
    recording.live_blocks.push_back(
        {.address = record.address,
         .size = record.size,
         .time_ns = record.time_ns,
         .weight = record.weight,
         .interval = record.interval,
         .thread = record.thread,
         .stack = {record.stack},
         .inherited = forked && record.time_ns < recording.forked_at_ns});
    recording.last_event_ns = std::max(recording.last_event_ns, record.time_ns);
  });
  recording.torn_live += unread;
}

void ReadEvents(Source& source, const Part& part, Events events, model::Recording& recording,
                Complaints& complaints) {
  if (part.records == 0) return;
  const uint64_t per_block =
      (part.record_size - sizeof(wire::BlockHeader)) / sizeof(wire::EventRecord);
  if (events == Events::kKeep) recording.events.reserve(MostEvents(source, part));
  SecondLook second_look(source);
  const std::vector<Block> blocks = FindBlocks(source, part, complaints);
  recording.events_complete_from_ns = CompleteFrom(CompleteFrom(blocks, recording), recording);
  for (const Block& block : blocks) {
    const Part records = {
        .offset = part.offset + block.index * part.record_size + sizeof(wire::BlockHeader),
        .size = per_block * sizeof(wire::EventRecord),
        .record_size = sizeof(wire::EventRecord),
        .records = per_block};
    recording.torn_events +=
        ForEachRecord(source, records, [&](uint64_t index, const uint8_t* bytes) {
          auto record = Load<wire::EventRecord>(bytes);
          const uint64_t seed = wire::EventSeed(block.sequence, index);
          if (record.check != wire::CheckOf(record, seed)) {
            // Not yet written in this round of the ring: zeros, or an event of the block's life
            // before.
            if (record.check == 0 && record.time_ns == 0) return;
            if (record.check != 0 && record.time_ns <= block.started_ns) return;
            // Or, of a file that is written, one of a life whose beginning is not in the file yet.
            if (record.check != 0 && record.time_ns > recording.events_complete_to_ns) return;
            if (!second_look.Read(records.offset + index * sizeof record, seed, &record)) {
              ++recording.torn_events;
              return;
            }
          }
          if (record.kind != static_cast<uint8_t>(wire::EventKind::kAllocate) &&
              record.kind != static_cast<uint8_t>(wire::EventKind::kFree)) {
            return;  // of a kind that a later version may know
          }
          if (!IsSound(record) || record.domain > static_cast<uint8_t>(wire::Domain::kMmap)) {
            ++recording.torn_events;
            return;
          }
          recording.last_event_ns = std::max(recording.last_event_ns, record.time_ns);
          if (events == Events::kCheck) return;
          // Of what came after the tables they may have no stack, or another in its place.
          const bool has_stack = (record.allocated_ns != 0 ? record.allocated_ns
                                                           : record.time_ns) <= recording.tables_ns;
          const bool allocate = record.kind == static_cast<uint8_t>(wire::EventKind::kAllocate);
          recording.events.push_back(
              {.kind = allocate ? model::Event::Kind::kAllocate : model::Event::Kind::kFree,
               .domain = static_cast<model::Domain>(record.domain),
               .time_ns = record.time_ns,
               .address = record.address,
               .size = record.size,
               .allocated_ns = record.allocated_ns,
               .weight = record.weight,
               .interval = record.interval,
               .thread = record.thread,
               .stack = {has_stack ? record.stack : wire::kUnknownStack}});
        });
  }
  const auto earlier = [](const model::Event& a, const model::Event& b) {
    return a.time_ns < b.time_ns;
  };
  std::stable_sort(recording.events.begin(), recording.events.end(), earlier);
}

void ResolveStacks(model::Recording& recording, Complaints& complaints) {
  const auto exists = [&](model::StackId id) { return id.value < recording.stacks.size(); };
  for (model::LiveBlock& block : recording.live_blocks) {
    if (exists(block.stack)) continue;
    if (block.time_ns <= recording.tables_ns)
      complaints.Count("live blocks name a stack that is not there");
    block.stack = {wire::kUnknownStack};
  }
  for (model::Range& range : recording.ranges) {
    if (!exists(range.stack)) range.stack = {wire::kUnknownStack};  // said of its live block
  }
  for (model::Event& event : recording.events) {
    if (!exists(event.stack)) {
      complaints.Count("events name a stack that is not there");
      event.stack = {wire::kUnknownStack};
    } else if (event.time_ns < recording.stacks[event.stack.value].first_seen_ns) {
      event.stack = {wire::kUnknownStack};  // of a stack that was folded since; no damage
    }
  }
  for (model::HistoryPoint& point : recording.history) {
    // The same for points: what they hold of such stacks is not listed any more.
    const auto gone = [&](const model::HistoryPoint::Held& held) {
      if (!exists(held.stack)) {
        if (point.time_ns <= recording.tables_ns)
          complaints.Count("points of the history name a stack that is not there");
      } else if (point.time_ns >= recording.stacks[held.stack.value].first_seen_ns) {
        return false;
      }
      point.unlisted_live += held.bytes;
      point.unlisted_most = std::max(point.unlisted_most, held.bytes);
      return true;
    };
    point.stacks.erase(std::remove_if(point.stacks.begin(), point.stacks.end(), gone),
                       point.stacks.end());
  }
}

}  // namespace heapecho::reader

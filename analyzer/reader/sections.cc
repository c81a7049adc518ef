// SPDX-License-Identifier: Apache-2.0
#include "analyzer/reader/sections.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"

namespace heapecho::reader {
namespace {

using wire::SectionKind;

constexpr uint64_t kPage = 4096;
// A block's sequence and a record's index in it share a word, see wire::EventSeed.
constexpr uint32_t kSmallestBlock = 1024;
constexpr uint32_t kLargestBlock = 64u << 20;
constexpr uint32_t kLargestPoint = 1u << 20;

struct Known {
  SectionKind kind;
  const char* name;
  uint32_t record_size;  // 0: a log; 1: of the recording's own choice
};

constexpr Known kKnown[] = {
    {SectionKind::kIdentity, "identity", 0},
    {SectionKind::kCounters, "counters", sizeof(wire::CounterRecord)},
    {SectionKind::kModules, "modules", 0},
    {SectionKind::kNativeNodes, "native nodes", sizeof(wire::NodeRecord)},
    {SectionKind::kPythonNodes, "python nodes", sizeof(wire::NodeRecord)},
    {SectionKind::kPythonCode, "python code", 0},
    {SectionKind::kStacks, "stacks", sizeof(wire::StackRecord)},
    {SectionKind::kLive, "live", sizeof(wire::LiveRecord)},
    {SectionKind::kEvents, "events", 1},
    {SectionKind::kHistory, "history", 1},
    {SectionKind::kChildren, "children", sizeof(wire::ChildRecord)},
    {SectionKind::kThreads, "threads", sizeof(wire::ThreadRecord)},
    {SectionKind::kRanges, "ranges", sizeof(wire::RangeRecord)},
};

const Known* FindKnown(uint32_t kind) {
  for (const Known& known : kKnown) {
    if (static_cast<uint32_t>(known.kind) == kind) return &known;
  }
  return nullptr;
}

std::string NameOf(uint32_t kind) {
  const Known* known = FindKnown(kind);
  return known != nullptr ? known->name : absl::StrCat("kind ", kind);
}

// Why a section of this table cannot be used, if so.
const char* WhyNot(const wire::Section& section, const Known* known) {
  if (section.offset % kPage != 0 || section.offset < wire::kHeaderSize) {
    return "does not begin on a page of its own";
  }
  if (section.offset + section.size < section.offset) return "has an impossible size";
  if (known == nullptr || known->record_size == 0) return nullptr;
  if (known->kind == SectionKind::kEvents) {
    const bool possible =
        section.record_size >= kSmallestBlock && section.record_size <= kLargestBlock;
    return possible ? nullptr : "has blocks of an impossible size";
  }
  if (known->kind == SectionKind::kHistory) {
    const bool possible = section.record_size >= sizeof(wire::HistoryPoint) &&
                          section.record_size <= kLargestPoint && section.record_size % 8 == 0;
    // Before there was a history its place was kept.
    return possible || section.committed == 0 ? nullptr : "has points of an impossible size";
  }
  return section.record_size == known->record_size ? nullptr : "has records of an unknown size";
}

uint64_t CountBytes(const std::vector<ByteRange>& ranges) {
  uint64_t bytes = 0;
  for (const ByteRange& range : ranges) bytes += range.end - range.begin;
  return bytes;
}

}  // namespace

Sections::Sections(const wire::FileHeader& header, Source& source, Complaints& complaints)
    : source_(source) {
  uint32_t count = header.section_count;
  if (count > wire::kMaxSections) {
    complaints.Say(absl::StrCat("the header claims ", count, " sections, the first ",
                                wire::kMaxSections, " are read"));
    count = wire::kMaxSections;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Section& section = header.sections[i];
    if (section.kind == static_cast<uint32_t>(SectionKind::kNone)) continue;
    const Known* known = FindKnown(section.kind);
    const char* why_not = WhyNot(section, known);
    for (const Entry& other : entries_) {
      if (why_not != nullptr || !other.usable) continue;
      if (section.offset < other.section.offset + other.section.size &&
          other.section.offset < section.offset + section.size) {
        why_not = "overlaps with another one";
      } else if (other.section.kind == section.kind && known != nullptr) {
        why_not = "is there twice";
      }
    }
    if (why_not != nullptr) {
      complaints.Say(
          absl::StrCat("section ", NameOf(section.kind), " ", why_not, " and was left out"));
    }
    const uint64_t there = section.offset < source.size() ? source.size() - section.offset : 0;
    entries_.push_back({.section = section,
                        .index = i,
                        .size = std::min(section.size, there),
                        .usable = why_not == nullptr});
  }
}

Part Sections::PartOf(const Entry& entry) const {
  // Whoever writes the file only ever raises this word; the others stay as they were checked.
  wire::Section now;
  uint64_t committed = entry.section.committed;
  const uint64_t at = offsetof(wire::FileHeader, sections) + entry.index * sizeof now;
  if (source_.Read(at, sizeof now, &now) == sizeof now)
    committed = std::max(committed, now.committed);
  const Known* known = FindKnown(entry.section.kind);
  const bool log = known == nullptr || known->record_size == 0;
  const uint32_t record_size = log ? 1 : entry.section.record_size;
  return {.offset = entry.section.offset,
          .size = entry.size,
          .record_size = record_size,
          .records = std::min(committed, entry.size / record_size)};
}

Part Sections::Find(SectionKind kind) const {
  for (const Entry& entry : entries_) {
    if (entry.usable && entry.section.kind == static_cast<uint32_t>(kind)) return PartOf(entry);
  }
  return {};
}

std::vector<model::SectionInfo> Sections::Describe() const {
  std::vector<model::SectionInfo> infos;
  for (const Entry& entry : entries_) {
    model::SectionInfo info = {.name = NameOf(entry.section.kind),
                               .offset = entry.section.offset,
                               .size = entry.section.size,
                               .record_size = 1,
                               .records = 0};
    if (entry.usable) {
      const Part part = PartOf(entry);
      info.record_size = part.record_size;
      info.records = part.records;
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

uint64_t ForEachRecord(Source& source, const Part& part,
                       absl::FunctionRef<void(uint64_t, const uint8_t*)> visit) {
  if (part.records == 0) return 0;
  constexpr uint64_t kBuffer = 256 << 10;
  const uint64_t batch = std::max<uint64_t>(1, kBuffer / part.record_size);
  std::vector<uint8_t> buffer;
  uint64_t next = 0, unread = 0;
  for (const ByteRange& range :
       source.Present(part.offset, part.offset + part.records * part.record_size)) {
    const uint64_t end =
        std::min(part.records, (range.end - part.offset + part.record_size - 1) / part.record_size);
    next = std::max(next, (range.begin - part.offset) / part.record_size);
    while (next < end) {
      const uint64_t count = std::min(batch, end - next);
      buffer.resize(count * part.record_size);
      const size_t got =
          source.Read(part.offset + next * part.record_size, buffer.size(), buffer.data());
      const uint64_t whole = got / part.record_size;
      for (uint64_t i = 0; i < whole; ++i) visit(next + i, buffer.data() + i * part.record_size);
      unread += count - whole;
      next += count;
    }
  }
  return unread;
}

uint64_t PresentRecords(Source& source, const Part& part) {
  if (part.records == 0) return 0;
  const std::vector<ByteRange> present =
      source.Present(part.offset, part.offset + part.records * part.record_size);
  if (present.empty()) return 0;
  const uint64_t last =
      (present.back().end - part.offset + part.record_size - 1) / part.record_size;
  // Copying turns pages of zeros into holes here and there; more holes than that are no recording's doing.
  constexpr uint64_t kAlways = 4096;
  const uint64_t most = CountBytes(present) * 5 / 4 / part.record_size + kAlways;
  return std::min({part.records, last, most});
}

std::vector<uint8_t> ReadLog(Source& source, const Part& part) {
  std::vector<uint8_t> bytes(PresentRecords(source, part));
  bytes.resize(source.Read(part.offset, bytes.size(), bytes.data()));
  return bytes;
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "preload/wire/format.h"

namespace heapecho::testing {
namespace {

template <typename Record>
void SealRecord(uint8_t* at, uint64_t seed) {
  Record record;
  std::memcpy(&record, at, sizeof record);
  record.check = wire::CheckOf(record, seed);
  std::memcpy(at, &record, sizeof record);
}

bool HasContent(const uint8_t* at, size_t size) {
  return std::any_of(at, at + size, [](uint8_t byte) { return byte != 0; });
}

}  // namespace

uint64_t Mutator::Random(uint64_t below) {
  // splitmix64: each state gives one well mixed word.
  uint64_t word = state_ += 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return (word ^ (word >> 31)) % below;
}

void Mutator::Damage(std::vector<uint8_t>& bytes) {
  std::vector<size_t> used;
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    if (HasContent(&bytes[i], 8)) used.push_back(i);
  }
  const auto pick = [&] {
    return !used.empty() && Random(2) == 0 ? used[Random(used.size())] + Random(8)
                                           : Random(bytes.size());
  };
  const uint64_t way = Random(4);
  const uint64_t changes = 1 + Random(12);
  for (uint64_t i = 0; i < changes; ++i) {
    if (way == 3 && bytes.size() >= 8) {
      static constexpr uint64_t kEdges[] = {0,
                                            1,
                                            0x7fffffff,
                                            0xffffffff,
                                            0x7fffffffffffffff,
                                            ~uint64_t{0},
                                            0x7ff0000000000000,  // infinity
                                            0x7ff8000000000000,  // not a number
                                            0xffefffffffffffff,  // the least of all doubles
                                            4096,
                                            uint64_t{1} << 40};
      const size_t at = std::min(pick() / 8 * 8, bytes.size() - 8);
      const uint64_t word = kEdges[Random(std::size(kEdges))];
      std::memcpy(&bytes[at], &word, sizeof word);
    } else {
      bytes[pick()] ^= static_cast<uint8_t>(1u << Random(8));
    }
  }
  if (way % 2 == 1) Reseal(bytes);
}

namespace {

void SealHistory(uint8_t* begin, uint64_t size, uint64_t slot_size) {
  if (slot_size < sizeof(wire::HistoryPoint)) return;
  const uint64_t room = (slot_size - sizeof(wire::HistoryPoint)) / sizeof(wire::HistoryStack);
  for (uint64_t slot = 0; (slot + 1) * slot_size <= size; ++slot) {
    uint8_t* const at = begin + slot * slot_size;
    if (!HasContent(at, sizeof(wire::HistoryPoint))) continue;
    wire::HistoryPoint point;
    std::memcpy(&point, at, sizeof point);
    if (point.stack_count > room) continue;
    std::vector<wire::HistoryStack> stacks(point.stack_count);
    if (!stacks.empty())
      std::memcpy(stacks.data(), at + sizeof point, stacks.size() * sizeof(wire::HistoryStack));
    for (wire::HistoryCover& cover : point.covers)
      cover.check = wire::CheckOf(cover, point.time_ns);
    point.check = wire::HistoryCheck(point, stacks.data(), slot);
    std::memcpy(at, &point, sizeof point);
  }
}

}  // namespace

void Reseal(std::vector<uint8_t>& bytes) {
  wire::FileHeader header;
  if (bytes.size() < sizeof header) return;
  std::memcpy(&header, bytes.data(), sizeof header);
  uint64_t words[offsetof(wire::FileHeader, static_check) / 8];
  std::memcpy(words, &header, sizeof words);
  header.static_check = wire::CheckWords(words, std::size(words), wire::kMagic);
  std::memcpy(bytes.data(), &header, sizeof header);

  for (uint32_t i = 0; i < std::min<uint32_t>(header.section_count, wire::kMaxSections); ++i) {
    const wire::Section& section = header.sections[i];
    if (section.offset >= bytes.size() || section.offset < wire::kHeaderSize) continue;
    uint8_t* const begin = bytes.data() + section.offset;
    const uint64_t size = std::min<uint64_t>(section.size, bytes.size() - section.offset);
    if (section.kind == static_cast<uint32_t>(wire::SectionKind::kLive)) {
      for (uint64_t slot = 0; (slot + 1) * sizeof(wire::LiveRecord) <= size; ++slot) {
        uint8_t* const record = begin + slot * sizeof(wire::LiveRecord);
        if (HasContent(record, sizeof(wire::LiveRecord)))
          SealRecord<wire::LiveRecord>(record, slot);
      }
    } else if (section.kind == static_cast<uint32_t>(wire::SectionKind::kHistory)) {
      SealHistory(begin, size, section.record_size);
    } else if (section.kind == static_cast<uint32_t>(wire::SectionKind::kEvents)) {
      const uint64_t block_size = section.record_size;
      if (block_size < sizeof(wire::BlockHeader)) continue;
      for (uint64_t at = 0; at + block_size <= size; at += block_size) {
        if (!HasContent(begin + at, sizeof(wire::BlockHeader))) continue;
        SealRecord<wire::BlockHeader>(begin + at, wire::kMagic);
        uint64_t sequence;
        std::memcpy(&sequence, begin + at, sizeof sequence);
        const uint64_t events =
            (block_size - sizeof(wire::BlockHeader)) / sizeof(wire::EventRecord);
        for (uint64_t event = 0; event < events; ++event) {
          uint8_t* const record =
              begin + at + sizeof(wire::BlockHeader) + event * sizeof(wire::EventRecord);
          if (HasContent(record, sizeof(wire::EventRecord))) {
            SealRecord<wire::EventRecord>(record, wire::EventSeed(sequence, event));
          }
        }
      }
    }
  }
}

}  // namespace heapecho::testing

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/layout.h"

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/recording/child_log.h"

namespace heapecho::recording {
namespace {

using wire::SectionKind;

uint32_t PowerOfTwoBelow(uint64_t value) {
  uint32_t power = 1;
  while (uint64_t{power} * 2 <= value) power *= 2;
  return power;
}

// 512 stacks a point and some 500 points where there is room; at the smallest budget an eighth of them,
// and 190 points: of a long run more points say more than longer lists.
uint32_t HistorySlotBytes(uint64_t bytes) {
  uint32_t stacks = 512;
  while (stacks > 64 && bytes / (stacks * sizeof(wire::HistoryStack)) < 256) stacks /= 2;
  return static_cast<uint32_t>(sizeof(wire::HistoryPoint) + stacks * sizeof(wire::HistoryStack));
}

}  // namespace

const wire::Section& Layout::Find(SectionKind kind) const {
  uint32_t i = 0;
  while (i + 1 < section_count && sections[i].kind != static_cast<uint32_t>(kind)) ++i;
  return sections[i];
}

Layout LayoutFor(uint64_t budget) {
  if (budget < kSmallestBudget) budget = kSmallestBudget;
  if (budget > kLargestBudget) budget = kLargestBudget;
  budget = budget / base::kPageSize * base::kPageSize;
  Layout layout = {};
  // The private twins of these tables must fit the 8 MiB that the process may pay, so more disk than the
  // default buys longer events and nothing else.
  const uint64_t share = budget < kDefaultBudget ? budget : kDefaultBudget;
  layout.stacks = static_cast<uint32_t>(share / 3392);
  layout.native_nodes = layout.stacks * 6;
  layout.python_nodes = layout.stacks * 2;
  layout.code_bytes = static_cast<uint32_t>(base::RoundUp(share / 8, base::kPageSize));
  layout.live = PowerOfTwoBelow(share / 2048);
  layout.threads = static_cast<uint32_t>(share / 8192);
  layout.ranges = 1024;
  layout.block_bytes = 32 << 10;

  uint64_t offset = wire::kHeaderSize;
  const auto add = [&](SectionKind kind, uint32_t record_size, uint64_t size) {
    wire::Section& section = layout.sections[layout.section_count++];
    section = {.kind = static_cast<uint32_t>(kind),
               .record_size = record_size,
               .offset = offset,
               .size = base::RoundUp(size, base::kPageSize),
               .committed = 0};
    offset += section.size;
  };
  add(SectionKind::kIdentity, 8, 64 << 10);
  add(SectionKind::kCounters, sizeof(wire::CounterRecord),
      base::kCounterCount * sizeof(wire::CounterRecord));
  add(SectionKind::kModules, 8, share / 64);
  add(SectionKind::kNativeNodes, sizeof(wire::NodeRecord),
      layout.native_nodes * sizeof(wire::NodeRecord));
  add(SectionKind::kPythonNodes, sizeof(wire::NodeRecord),
      layout.python_nodes * sizeof(wire::NodeRecord));
  add(SectionKind::kPythonCode, 8, layout.code_bytes);
  add(SectionKind::kStacks, sizeof(wire::StackRecord), layout.stacks * sizeof(wire::StackRecord));
  add(SectionKind::kLive, sizeof(wire::LiveRecord), layout.live * sizeof(wire::LiveRecord));
  add(SectionKind::kThreads, sizeof(wire::ThreadRecord), layout.threads * sizeof(wire::ThreadRecord));
  layout.history_slot_bytes = HistorySlotBytes(share / 16);
  layout.history_slots = static_cast<uint32_t>(share / 16 / layout.history_slot_bytes);
  add(SectionKind::kHistory, layout.history_slot_bytes, share / 16);
  add(SectionKind::kChildren, sizeof(wire::ChildRecord), ChildLog::kSlots * sizeof(wire::ChildRecord));
  add(SectionKind::kRanges, sizeof(wire::RangeRecord), layout.ranges * sizeof(wire::RangeRecord));
  add(SectionKind::kEvents, layout.block_bytes,
      (budget - offset) / layout.block_bytes * layout.block_bytes);
  layout.file_size = offset;
  return layout;
}

}  // namespace heapecho::recording

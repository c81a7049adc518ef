// SPDX-License-Identifier: Apache-2.0
// How a recording's budget is split into sections, and how large the private tables beside it are.
#pragma once

#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::recording {

inline constexpr uint64_t kSmallestBudget = 4 << 20;
inline constexpr uint64_t kLargestBudget = uint64_t{1} << 30;
inline constexpr uint64_t kDefaultBudget = 64 << 20;
inline constexpr uint64_t kLargestTmpfsBudget = 8 << 20;  // tmpfs is memory

struct Layout {
  uint64_t file_size;     // bytes, all sections and the header
  uint32_t stacks;        // ids, the unknown stack included
  uint32_t native_nodes;  // the root included
  uint32_t python_nodes;  // the root included
  uint32_t code_bytes;    // for the records of Python code
  uint32_t live;          // blocks, a power of two
  uint32_t threads;       // records of threads
  uint32_t ranges;        // of the address space
  uint32_t block_bytes;   // of an event block
  uint32_t history_slots;       // points of the history
  uint32_t history_slot_bytes;  // of one, with the stacks that it lists
  uint32_t section_count;
  wire::Section sections[wire::kMaxSections];  // in order of offset; nothing committed yet

  const wire::Section& Find(wire::SectionKind kind) const;  // must be there
};

// Of 64 MiB: a byte of stacks' totals, frames and live set in seven, kept places for code, threads and
// history, the rest events. `budget` is clamped to what the constants above allow. Sections begin on pages.
Layout LayoutFor(uint64_t budget);

}  // namespace heapecho::recording

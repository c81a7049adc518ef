// SPDX-License-Identifier: Apache-2.0
// Where a process's memory went at one moment: what is resident, part by part, and what of it
// nobody can explain. Made by aggregator/memory.h. Plain data.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace heapecho::model {

// Bytes that an allocator keeps beside what is live; none where nobody knows.
struct Retained {
  std::optional<double> malloc, python, arrow;
};

// Bytes throughout. The parts add up to what is resident:
//   rss = live - untouched - swapped + overhead + retained + own + file_backed + stacks +
//   unexplained
struct MemoryAccount {
  bool known = false;        // else nobody looked, and the rest says nothing
  uint64_t realtime_ns = 0;  // of the look
  double rss = 0;
  std::array<double, 4> live{};       // by Domain
  double live_error = 0;              // one standard error of their sum
  std::optional<double> untouched{};  // of live: never written to, so never made present
  double swapped = 0;                 // of the whole process
  double overhead = 0;                // rounding and headers of live blocks
  Retained retained{};
  double own = 0;                  // heapecho's memory and the pages of its file
  double file_backed = 0;          // files and shared memory, heapecho's file left out
  std::optional<double> stacks{};  // of threads
  // Of all this: as it was when the process was forked, so that another one has the same pages.
  double inherited = 0;

  double LiveBytes() const { return live[0] + live[1] + live[2] + live[3]; }
  double RetainedBytes() const {
    return retained.malloc.value_or(0) + retained.python.value_or(0) + retained.arrow.value_or(0);
  }
  // What is left of rss: below zero where live was overestimated.
  double Unexplained() const {
    return rss - (LiveBytes() - untouched.value_or(0) - swapped + overhead + RetainedBytes() + own +
                  file_backed + stacks.value_or(0));
  }
};

}  // namespace heapecho::model

// SPDX-License-Identifier: Apache-2.0
// Running totals of a stack and of the whole process: allocated, freed, live, and what was live at the peak.
//
// Bytes and objects are fixed point, so that what is taken back leaves exactly nothing. The high-water mark is
// exact without snapshots: each new peak of the process raises a mark; a stack whose own mark is older saves
// its live words before its first change, so at any time its share of the peak is the saved words if its mark
// is the current one, and its live words if not (it has not changed since). With several threads a change that
// meets a new peak may fall on either side of it: the share is then off by that one sample.
//
// Lock-free, signal-safe. Zero-initialised means empty.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::stack {

// What one sample stands for. Made from its size and weight in one place, so that what is added at the
// allocation is what is taken back at the free.
struct Worth {
  uint64_t bytes;           // fixed point
  uint64_t objects;         // fixed point
  double bytes_variance;    // (size * weight)^2 (1 - p), with p = 1 / weight
  double objects_variance;  // weight^2 (1 - p)
};
Worth WorthOf(uint64_t size, double weight);

// wire::StackRecord with atomic words.
struct StackTotals {
  std::atomic<uint32_t> native_leaf, python_leaf, reserved1, behalf_leaf;
  std::atomic<uint16_t> flags;
  std::atomic<uint8_t> domain;
  uint8_t reserved;
  std::atomic<uint32_t> last_used_s;
  std::atomic<uint64_t> first_seen_ns;
  std::atomic<uint64_t> allocated_bytes, allocated_objects;
  std::atomic<uint64_t> freed_bytes, freed_objects;
  std::atomic<uint64_t> live_bytes, live_objects;
  std::atomic<double> allocated_variance, live_variance;
  std::atomic<uint64_t> peak_bytes, peak_objects;
  std::atomic<double> peak_variance;
  std::atomic<uint32_t> peak_mark;
  std::atomic<uint32_t> samples;
};
static_assert(sizeof(StackTotals) == sizeof(wire::StackRecord));

struct ProcessTotals {
  std::atomic<uint64_t> samples;
  std::atomic<uint64_t> allocated_bytes, allocated_objects, freed_bytes, freed_objects;
  std::atomic<uint64_t> live_bytes, live_objects, peak_bytes, peak_objects;
  std::atomic<double> allocated_variance, allocated_object_variance;
  std::atomic<double> live_variance, live_object_variance;
  std::atomic<double> peak_variance, peak_object_variance;
  std::atomic<uint64_t> peak_ns;
  std::atomic<uint32_t> peak_mark;
};

// A sampled allocation. `second`: of the process's life.
void AddAllocation(ProcessTotals& process, StackTotals& stack, const Worth& worth, uint64_t now_ns,
                   uint32_t second);
// A sampled block is freed. `inherited`: a parent process allocated it, so it is not of what this one freed.
void AddFree(ProcessTotals& process, StackTotals& stack, const Worth& worth, bool inherited,
             uint32_t second);
// A live block's worth has changed by thinning; `after` is zero when it is out.
void AddThinning(ProcessTotals& process, StackTotals& stack, const Worth& before, const Worth& after);

// What is live here is not known any more: out of both totals.
void ForgetLive(ProcessTotals& process, StackTotals& stack);

// In a forked child: what was allocated and freed was the parent's; what is live is inherited, and the
// child's peak begins with it.
void BeginChild(ProcessTotals& process, uint64_t now_ns);
void BeginChild(StackTotals& stack);

// Adds `from` to `into` and empties it; a stack is folded into a shorter one. Needs both for itself.
void Fold(const ProcessTotals& process, StackTotals& from, StackTotals& into);

}  // namespace heapecho::stack

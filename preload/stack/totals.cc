// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/totals.h"

namespace heapecho::stack {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

void Add(std::atomic<double>& to, double value) {
  double old = to.load(kRelaxed);
  while (!to.compare_exchange_weak(old, old + value, kRelaxed)) {
  }
}

uint64_t ToFixedPoint(double value) {
  return static_cast<uint64_t>(value * static_cast<double>(wire::kFixedPointOne) + 0.5);
}

void SavePeakShare(const ProcessTotals& process, StackTotals& stack) {
  const uint32_t mark = process.peak_mark.load(kRelaxed);
  uint32_t own = stack.peak_mark.load(kRelaxed);
  if (own == mark || !stack.peak_mark.compare_exchange_strong(own, mark, kRelaxed)) return;
  stack.peak_bytes.store(stack.live_bytes.load(kRelaxed), kRelaxed);
  stack.peak_objects.store(stack.live_objects.load(kRelaxed), kRelaxed);
  stack.peak_variance.store(stack.live_variance.load(kRelaxed), kRelaxed);
}

// The order matters for SavePeakShare only; differences are added modulo 2^64.
void ChangeLive(ProcessTotals& process, StackTotals& stack, uint64_t bytes, uint64_t objects,
                double bytes_variance, double objects_variance) {
  SavePeakShare(process, stack);
  stack.live_bytes.fetch_add(bytes, kRelaxed);
  stack.live_objects.fetch_add(objects, kRelaxed);
  Add(stack.live_variance, bytes_variance);
  process.live_bytes.fetch_add(bytes, kRelaxed);
  process.live_objects.fetch_add(objects, kRelaxed);
  Add(process.live_variance, bytes_variance);
  Add(process.live_object_variance, objects_variance);
}

void RaisePeak(ProcessTotals& process, uint64_t now_ns) {
  const uint64_t live = process.live_bytes.load(kRelaxed);
  uint64_t peak = process.peak_bytes.load(kRelaxed);
  do {
    // More than 2^63 is a sum that was caught between a free and its allocation on another thread.
    if (live <= peak || live >> 63 != 0) return;
  } while (!process.peak_bytes.compare_exchange_weak(peak, live, kRelaxed));
  process.peak_objects.store(process.live_objects.load(kRelaxed), kRelaxed);
  process.peak_variance.store(process.live_variance.load(kRelaxed), kRelaxed);
  process.peak_object_variance.store(process.live_object_variance.load(kRelaxed), kRelaxed);
  process.peak_ns.store(now_ns, kRelaxed);
  process.peak_mark.fetch_add(1, kRelaxed);
}

}  // namespace

Worth WorthOf(uint64_t size, double weight) {
  const double bytes = static_cast<double>(size) * weight;
  const double missed = weight > 1 ? 1 - 1 / weight : 0;
  return {.bytes = ToFixedPoint(bytes),
          .objects = ToFixedPoint(weight),
          .bytes_variance = bytes * bytes * missed,
          .objects_variance = weight * weight * missed};
}

void AddAllocation(ProcessTotals& process, StackTotals& stack, const Worth& worth, uint64_t now_ns,
                   uint32_t second) {
  process.samples.fetch_add(1, kRelaxed);
  process.allocated_bytes.fetch_add(worth.bytes, kRelaxed);
  process.allocated_objects.fetch_add(worth.objects, kRelaxed);
  Add(process.allocated_variance, worth.bytes_variance);
  Add(process.allocated_object_variance, worth.objects_variance);
  stack.samples.fetch_add(1, kRelaxed);
  stack.allocated_bytes.fetch_add(worth.bytes, kRelaxed);
  stack.allocated_objects.fetch_add(worth.objects, kRelaxed);
  Add(stack.allocated_variance, worth.bytes_variance);
  stack.last_used_s.store(second, kRelaxed);
  ChangeLive(process, stack, worth.bytes, worth.objects, worth.bytes_variance, worth.objects_variance);
  RaisePeak(process, now_ns);
}

void AddFree(ProcessTotals& process, StackTotals& stack, const Worth& worth, bool inherited,
             uint32_t second) {
  if (!inherited) {
    process.freed_bytes.fetch_add(worth.bytes, kRelaxed);
    process.freed_objects.fetch_add(worth.objects, kRelaxed);
    stack.freed_bytes.fetch_add(worth.bytes, kRelaxed);
    stack.freed_objects.fetch_add(worth.objects, kRelaxed);
  }
  stack.last_used_s.store(second, kRelaxed);
  ChangeLive(process, stack, -worth.bytes, -worth.objects, -worth.bytes_variance,
             -worth.objects_variance);
}

void AddThinning(ProcessTotals& process, StackTotals& stack, const Worth& before, const Worth& after) {
  ChangeLive(process, stack, after.bytes - before.bytes, after.objects - before.objects,
             after.bytes_variance - before.bytes_variance,
             after.objects_variance - before.objects_variance);
}

void ForgetLive(ProcessTotals& process, StackTotals& stack) {
  ChangeLive(process, stack, -stack.live_bytes.load(kRelaxed), -stack.live_objects.load(kRelaxed),
             -stack.live_variance.load(kRelaxed), 0);
}

void BeginChild(ProcessTotals& process, uint64_t now_ns) {
  process.samples.store(0, kRelaxed);
  process.allocated_bytes.store(0, kRelaxed);
  process.allocated_objects.store(0, kRelaxed);
  process.freed_bytes.store(0, kRelaxed);
  process.freed_objects.store(0, kRelaxed);
  process.allocated_variance.store(0, kRelaxed);
  process.allocated_object_variance.store(0, kRelaxed);
  process.peak_bytes.store(0, kRelaxed);
  RaisePeak(process, now_ns);
}

void BeginChild(StackTotals& stack) {
  stack.samples.store(0, kRelaxed);
  stack.allocated_bytes.store(0, kRelaxed);
  stack.allocated_objects.store(0, kRelaxed);
  stack.freed_bytes.store(0, kRelaxed);
  stack.freed_objects.store(0, kRelaxed);
  stack.allocated_variance.store(0, kRelaxed);
}

void Fold(const ProcessTotals& process, StackTotals& from, StackTotals& into) {
  SavePeakShare(process, from);
  SavePeakShare(process, into);
  const auto move = [](std::atomic<uint64_t>& a, std::atomic<uint64_t>& b) {
    b.fetch_add(a.exchange(0, kRelaxed), kRelaxed);
  };
  const auto move_variance = [](std::atomic<double>& a, std::atomic<double>& b) {
    Add(b, a.exchange(0, kRelaxed));
  };
  move(from.allocated_bytes, into.allocated_bytes);
  move(from.allocated_objects, into.allocated_objects);
  move(from.freed_bytes, into.freed_bytes);
  move(from.freed_objects, into.freed_objects);
  move(from.live_bytes, into.live_bytes);
  move(from.live_objects, into.live_objects);
  move(from.peak_bytes, into.peak_bytes);
  move(from.peak_objects, into.peak_objects);
  move_variance(from.allocated_variance, into.allocated_variance);
  move_variance(from.live_variance, into.live_variance);
  move_variance(from.peak_variance, into.peak_variance);
  into.samples.fetch_add(from.samples.exchange(0, kRelaxed), kRelaxed);
  if (into.last_used_s.load(kRelaxed) < from.last_used_s.load(kRelaxed)) {
    into.last_used_s.store(from.last_used_s.load(kRelaxed), kRelaxed);
  }
}

}  // namespace heapecho::stack

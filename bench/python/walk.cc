// SPDX-License-Identifier: Apache-2.0
// A library for a running Python: times walks of the calling thread's Python frames by the preload
// library's own code. Loaded and driven by walk.py.
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "preload/stack/capture_registers.h"
#include "preload/stack/native_unwinder.h"
#include "preload/stack/python.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

using heapecho::stack::kMaxPythonFrames;

constexpr size_t kNativeRoom = 512;
// Walks between two looks at the clock, which takes about a tenth as long as one. Each has native
// frames of its own, since it marks them.
constexpr size_t kBatch = 8;

heapecho::stack::Python g_python;
heapecho::stack::NativeFrame g_native[kNativeRoom], g_unmarked[kNativeRoom],
    g_batch[kBatch][kNativeRoom];
heapecho::stack::PythonFrame g_frames[kMaxPythonFrames];

void Changed(heapecho::wire::IdentityKey, const char*) {}

uint64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

// What is decided of the interpreter; null: nothing.
EXPORTED const char* heapecho_bench_verdict() { return g_python.verdict(); }

// Fills `ns` with the times of `count` batches, a walk's each; returns how many Python frames it
// found. The native walk is made once: it is another measurement's. Called with the GIL.
EXPORTED long heapecho_bench_walk(double* ns, long count) {
  static bool initialized = false;
  if (!initialized) {
    heapecho::stack::InitializeNativeUnwinder();
    g_python.Initialize(true, Changed);
    initialized = true;
  }
  heapecho::stack::Registers registers;
  heapecho::stack::CaptureRegisters(&registers);
  heapecho::stack::StackBounds bounds{};
  heapecho::stack::NativeWalk native =
      heapecho::stack::WalkNative(registers, bounds, g_native, kNativeRoom);
  const size_t own = heapecho::stack::LeadingOwnFrames(g_native, native.count);
  native.count -= static_cast<uint32_t>(own);
  const uintptr_t sp = own > 0 ? g_native[own - 1].cfa : registers.sp;
  std::copy_n(g_native + own, native.count, g_unmarked);
  const auto walk = [&](heapecho::stack::NativeFrame* frames) {
    return g_python.Walk(sp, frames, native, g_frames);
  };
  heapecho::stack::PythonWalk found = walk(g_native + own);  // decides; and what follows is known
  for (long i = 0; i < count; ++i) {
    for (auto& frames : g_batch) std::copy_n(g_unmarked, native.count, frames);
    const uint64_t start = Now();
    for (auto& frames : g_batch) {
      found = walk(frames);
      asm volatile("" ::: "memory");
    }
    ns[i] = static_cast<double>(Now() - start) / kBatch;
  }
  return found.truncated ? -1 : static_cast<long>(found.count);
}

// SPDX-License-Identifier: Apache-2.0
// Times one walk of the calling thread's stack by depth and unwinder; see bench/README.md.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "bench/deep_stack.h"
#include "preload/stack/capture_registers.h"
#include "preload/stack/modules.h"
#include "preload/stack/native_unwinder.h"

namespace {

using heapecho::bench::CallAtDepth;

constexpr size_t kRoom = 512;

// Not on the stack that is walked: its frames are to be those of a caller of malloc.
heapecho::stack::NativeFrame g_frames[kRoom];
void* g_addresses[kRoom];

// Not by name: libunwind's archive defines a backtrace() of its own.
int (*const g_glibc_backtrace)(void**,
                               int) = reinterpret_cast<int (*)(void**, int)>(dlsym(RTLD_NEXT,
                                                                                   "backtrace"));

// A walk that misses frames is fast.
void Check(benchmark::State& state, size_t found) {
  if (found < static_cast<size_t>(state.range(0))) state.SkipWithError("the walk ends too early");
}

size_t WalkOnce(heapecho::stack::StackBounds& bounds) {
  heapecho::stack::Registers registers;
  heapecho::stack::CaptureRegisters(&registers);
  return heapecho::stack::WalkNative(registers, bounds, g_frames, kRoom).count;
}

void OwnKnownRules(void* context) {
  auto& state = *static_cast<benchmark::State*>(context);
  heapecho::stack::StackBounds bounds{};
  size_t found = 0;
  for (auto _ : state) {
    found = WalkOnce(bounds);
    benchmark::ClobberMemory();
  }
  Check(state, found);
}

void OwnNewRules(void* context) {
  auto& state = *static_cast<benchmark::State*>(context);
  size_t found = 0;
  for (auto _ : state) {
    heapecho::stack::ModulesMayHaveChanged();
    heapecho::stack::StackBounds bounds{};
    found = WalkOnce(bounds);
    benchmark::ClobberMemory();
  }
  Check(state, found);
}

void GlibcBacktrace(void* context) {
  auto& state = *static_cast<benchmark::State*>(context);
  int found = 0;
  for (auto _ : state) {
    found = g_glibc_backtrace(g_addresses, static_cast<int>(kRoom));
    benchmark::ClobberMemory();
  }
  Check(state, static_cast<size_t>(found));
}

void LibunwindBacktrace(void* context) {
  auto& state = *static_cast<benchmark::State*>(context);
  int found = 0;
  for (auto _ : state) {
    found = unw_backtrace(g_addresses, static_cast<int>(kRoom));
    benchmark::ClobberMemory();
  }
  Check(state, static_cast<size_t>(found));
}

void CountFrames(void* context) {
  *static_cast<size_t*>(context) =
      static_cast<size_t>(unw_backtrace(g_addresses, static_cast<int>(kRoom)));
}

// As many frames as the argument says in all, main's and the benchmark's own included.
template <void (*kWalks)(void*)>
void AtDepth(benchmark::State& state) {
  size_t around = 0;
  CallAtDepth(1, 0, CountFrames, &around);
  CallAtDepth(static_cast<size_t>(state.range(0)) - around + 1, 0, kWalks, &state);
}

BENCHMARK_TEMPLATE(AtDepth, OwnKnownRules)->Name("OwnKnownRules")->Arg(20)->Arg(40)->Arg(100);
BENCHMARK_TEMPLATE(AtDepth, OwnNewRules)->Name("OwnNewRules")->Arg(20)->Arg(40)->Arg(100);
BENCHMARK_TEMPLATE(AtDepth, LibunwindBacktrace)->Name("Libunwind")->Arg(20)->Arg(40)->Arg(100);
BENCHMARK_TEMPLATE(AtDepth, GlibcBacktrace)->Name("GlibcBacktrace")->Arg(20)->Arg(40)->Arg(100);

}  // namespace

int main(int argc, char** argv) {
  heapecho::stack::InitializeNativeUnwinder();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

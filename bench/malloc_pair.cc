// SPDX-License-Identifier: Apache-2.0
// Times pairs of allocation and free that are not sampled, under whatever is preloaded; see
// bench/README.md.
#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "bench/sampled_blocks.h"

namespace {

constexpr size_t kSampledBlocks = 2000;

// A small generator: the choice of sizes must cost little beside the pair that it is for, and be
// the same in every process.
class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  uint32_t Below(uint32_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return static_cast<uint32_t>((uint64_t{state_} * bound) >> 32);
  }

 private:
  uint32_t state_;
};

void MallocFree(benchmark::State& state) {
  const size_t size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    void* block = std::malloc(size);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
}

void NewDelete(benchmark::State& state) {
  const size_t size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    void* block = ::operator new(size);
    benchmark::DoNotOptimize(block);
    ::operator delete(block, size);
  }
}

void CallocFree(benchmark::State& state) {
  const size_t size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    void* block = std::calloc(1, size);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
}

// A block that grows and shrinks within its size class: the allocator has next to nothing to do, so
// what stands in front of it shows most.
void ReallocInPlace(benchmark::State& state) {
  void* block = std::malloc(64);
  size_t size = 60;
  for (auto _ : state) {
    block = std::realloc(block, size);
    benchmark::DoNotOptimize(block);
    size ^= 60 ^ 62;
  }
  std::free(block);
}

// 64 blocks of mixed sizes, freed in another order.
void MixedBatch(benchmark::State& state) {
  constexpr size_t kBlocks = 64;
  Random random(7);
  std::array<size_t, kBlocks> sizes;
  std::array<size_t, kBlocks> order;
  for (size_t i = 0; i < kBlocks; ++i) {
    sizes[i] = 8 + random.Below(1024);
    order[i] = i;
  }
  for (size_t i = kBlocks; i-- > 1;) {
    std::swap(order[i], order[random.Below(static_cast<uint32_t>(i + 1))]);
  }
  std::array<void*, kBlocks> blocks;
  for (auto _ : state) {
    for (size_t i = 0; i < kBlocks; ++i) blocks[i] = std::malloc(sizes[i]);
    benchmark::DoNotOptimize(blocks);
    for (const size_t i : order) std::free(blocks[i]);
  }
}

// The shape of a Python process: many small live blocks of mixed ages, touched once when made,
// replaced at random, so that allocator, heap and whatever stands in front of it share the caches.
void Churn(benchmark::State& state) {
  const uint32_t live = static_cast<uint32_t>(state.range(0));
  Random random(static_cast<uint32_t>(state.thread_index()) + 11);
  std::vector<void*> blocks(live);
  const auto allocate = [&random] {
    // Three of four are objects, the rest buffers.
    const uint32_t draw = random.Below(4);
    const size_t size = draw < 3 ? 24 + random.Below(120) : 144 + random.Below(2048);
    auto* block = static_cast<char*>(std::malloc(size));
    *block = 1;
    return block;
  };
  for (void*& block : blocks) block = allocate();
  for (auto _ : state) {
    void*& block = blocks[random.Below(live)];
    std::free(block);
    block = allocate();
  }
  for (void* block : blocks) std::free(block);
}

void OneAndTwoThreads(benchmark::internal::Benchmark* benchmark) {
  benchmark->Threads(1)->Threads(2);
}

BENCHMARK(MallocFree)->Arg(16)->Arg(64)->Arg(512)->Arg(4096)->Apply(OneAndTwoThreads);
BENCHMARK(NewDelete)->Arg(64)->Apply(OneAndTwoThreads);
BENCHMARK(CallocFree)->Arg(64)->Apply(OneAndTwoThreads);
BENCHMARK(ReallocInPlace)->Apply(OneAndTwoThreads);
BENCHMARK(MixedBatch)->Apply(OneAndTwoThreads);
BENCHMARK(Churn)->Arg(1000)->Arg(100000)->Apply(OneAndTwoThreads);

}  // namespace

int main(int argc, char** argv) {
  heapecho::bench::HoldSampledBlocks(kSampledBlocks);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

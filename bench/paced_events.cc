// SPDX-License-Identifier: Apache-2.0
// paced_events COUNT: times COUNT allocations and frees, each by itself, one pair a millisecond, as
// a service does that has other work, and prints the distribution as a line of JSON; see
// bench/README.md. 4,096 blocks are live, from 512 stacks, so that what changes between two writes
// of a recording is spread over its tables.
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/deep_stack.h"
#include "bench/distribution.h"

namespace {

using heapecho::bench::Now;

constexpr size_t kSize = 200;
constexpr size_t kLive = 4096;
constexpr size_t kStacks = 512;
constexpr size_t kFrames = 25;
constexpr int64_t kPeriodNs = 1000000;

struct Pair {
  void* block;
  int64_t malloc_ns;
  int64_t free_ns;
};

void TimeOnePair(void* context) {
  auto* pair = static_cast<Pair*>(context);
  void* const gone = pair->block;
  const int64_t start = Now();
  pair->block = std::malloc(kSize);
  const int64_t allocated = Now();
  std::free(gone);
  pair->free_ns = Now() - allocated;
  pair->malloc_ns = allocated - start;
}

void SleepUntil(int64_t moment_ns) {
  const timespec moment = {.tv_sec = moment_ns / 1000000000, .tv_nsec = moment_ns % 1000000000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc == 2 ? std::strtoul(argv[1], nullptr, 10) : 0;
  if (count == 0) {
    std::fprintf(stderr, "usage: paced_events COUNT\n");
    return 2;
  }
  std::vector<void*> live(kLive);
  std::vector<int64_t> calls_ns;
  calls_ns.reserve(2 * count);
  int64_t due = 0;
  for (size_t i = 0; i < kLive + count; ++i) {
    // The first ones fill what is live, and all that a recording begins with is written.
    if (i == kLive) due = Now();
    if (i >= kLive) SleepUntil(due += kPeriodNs);
    Pair pair = {.block = live[i * 7 % kLive], .malloc_ns = 0, .free_ns = 0};
    heapecho::bench::CallAtDepth(kFrames, i % kStacks, TimeOnePair, &pair);
    live[i * 7 % kLive] = pair.block;
    if (i < kLive) continue;
    calls_ns.push_back(pair.malloc_ns);
    calls_ns.push_back(pair.free_ns);
  }
  std::printf("{");
  heapecho::bench::PrintDistribution("calls", calls_ns);
  std::printf("}\n");
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// sampled_event STACKS FRAMES COUNT: times COUNT allocations and frees below FRAMES native frames,
// each by itself, and prints the distribution as a line of JSON; see bench/README.md.
//
// STACKS says what the sampler meets: `known`, one stack that it has seen; `evicted`, the same
// after other work has taken the caches; `first`, a stack that it has never seen, each time.
#include <execinfo.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bench/deep_stack.h"
#include "bench/distribution.h"

namespace {

using heapecho::bench::Now;
using heapecho::bench::PrintDistribution;

constexpr size_t kWarmUp = 2000;
constexpr size_t kSize = 64;

struct Event {
  int64_t malloc_ns;
  int64_t free_ns;
};

void TimeOneEvent(void* context) {
  auto* event = static_cast<Event*>(context);
  const int64_t start = Now();
  void* volatile block = std::malloc(kSize);
  const int64_t allocated = Now();
  std::free(block);
  const int64_t freed = Now();
  event->malloc_ns = allocated - start;
  event->free_ns = freed - allocated;
}

void CountFrames(void* context) {
  void* frames[heapecho::bench::kDeepest + 64];
  *static_cast<size_t*>(context) =
      static_cast<size_t>(backtrace(frames, static_cast<int>(std::size(frames))));
}

// As an application's work between two samples does: other data in the caches.
class OtherWork {
 public:
  void Do() {
    for (size_t i = 0; i < words_.size(); i += 8) words_[i] += i;
  }

 private:
  std::vector<uint64_t> words_ = std::vector<uint64_t>(size_t{4} << 17);  // 4 MiB
};

}  // namespace

int main(int argc, char** argv) {
  const char* stacks = argc == 4 ? argv[1] : "";
  const bool known = std::strcmp(stacks, "known") == 0;
  const bool evicted = std::strcmp(stacks, "evicted") == 0;
  const bool first = std::strcmp(stacks, "first") == 0;
  const size_t frames = argc == 4 ? std::strtoul(argv[2], nullptr, 10) : 0;
  const size_t count = argc == 4 ? std::strtoul(argv[3], nullptr, 10) : 0;
  size_t around = 0;  // frames outside of CallAtDepth's: the leaf, main and what called it
  heapecho::bench::CallAtDepth(1, 0, CountFrames, &around);
  --around;
  if (!(known || evicted || first) || count == 0 || frames <= around ||
      frames - around > heapecho::bench::kDeepest) {
    std::fprintf(stderr,
                 "usage: sampled_event known|evicted|first FRAMES COUNT (FRAMES above %zu)\n",
                 around);
    return 2;
  }

  std::vector<int64_t> malloc_ns(count);
  std::vector<int64_t> free_ns(count);
  OtherWork other_work;
  for (size_t i = 0; i < kWarmUp + count; ++i) {
    if (evicted) other_work.Do();
    Event event;
    heapecho::bench::CallAtDepth(frames - around, first ? i : 0, TimeOneEvent, &event);
    if (i < kWarmUp) continue;
    malloc_ns[i - kWarmUp] = event.malloc_ns;
    free_ns[i - kWarmUp] = event.free_ns;
  }
  std::printf("{\"stacks\": \"%s\", \"frames\": %zu, ", stacks, frames);
  PrintDistribution("malloc", malloc_ns);
  std::printf(", ");
  PrintDistribution("free", free_ns);
  std::printf("}\n");
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// instructions KIND COUNT: makes COUNT unsampled pairs of KIND inside the function Counted, whose
// instructions callgrind counts; see bench/README.md.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "bench/sampled_blocks.h"

namespace {

constexpr size_t kSampledBlocks = 64;  // valgrind gives little more address space
constexpr size_t kSize = 64;

// Keeps the compiler from pairing the calls away.
inline void Keep(void*& block) { asm volatile("" : "+r"(block)); }

void MallocFree(long count) {
  for (long i = 0; i < count; ++i) {
    void* block = std::malloc(kSize);
    Keep(block);
    std::free(block);
  }
}

void NewDelete(long count) {
  for (long i = 0; i < count; ++i) {
    void* block = ::operator new(kSize);
    Keep(block);
    ::operator delete(block);
  }
}

void NewSizedDelete(long count) {
  for (long i = 0; i < count; ++i) {
    void* block = ::operator new(kSize);
    Keep(block);
    ::operator delete(block, kSize);
  }
}

void CallocFree(long count) {
  for (long i = 0; i < count; ++i) {
    void* block = std::calloc(1, kSize);
    Keep(block);
    std::free(block);
  }
}

// A realloc that stays in place is the pair: the block's going and its coming. The block stays from
// one call to the next, so that only the reallocs are counted.
void Realloc(long count) {
  static constinit void* block = nullptr;
  for (long i = 0; i < count; ++i) {
    block = std::realloc(block, kSize);
    Keep(block);
  }
}

// The kernel's part is not counted.
void MmapMunmap(long count) {
  for (long i = 0; i < count; ++i) {
    void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Keep(page);
    munmap(page, 4096);
  }
}

struct Kind {
  const char* name;
  void (*pairs)(long);
};
constexpr Kind kKinds[] = {{"malloc_free", MallocFree},
                           {"new_delete", NewDelete},
                           {"new_sized_delete", NewSizedDelete},
                           {"calloc_free", CallocFree},
                           {"realloc", Realloc},
                           {"mmap_munmap", MmapMunmap}};

}  // namespace

// Callgrind counts between entering and leaving this function. Named for --toggle-collect.
extern "C" __attribute__((noinline)) void Counted(void (*pairs)(long), long count) {
  pairs(count);
  asm volatile("" ::: "memory");
}

int main(int argc, char** argv) {
  const long count = argc == 3 ? std::atol(argv[2]) : 0;
  for (const Kind& kind : kKinds) {
    if (count <= 0 || std::strcmp(argv[1], kind.name) != 0) continue;
    heapecho::bench::HoldSampledBlocks(kSampledBlocks);
    kind.pairs(count);  // first touches and first draws are nobody's pair
    Counted(kind.pairs, count);
    return 0;
  }
  std::fprintf(stderr, "usage: instructions KIND COUNT\n");
  return 2;
}

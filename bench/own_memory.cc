// SPDX-License-Identifier: Apache-2.0
// own_memory BLOCKS STACKS THREADS RANGES: keeps BLOCKS blocks from as many stacks, frees one from
// each of STACKS, maps RANGES pages that it never touches and has some blocks in each of THREADS
// further threads, then prints what memory the process has, as a line of JSON; see bench/README.md.
#include <alloca.h>
#include <sys/mman.h>

#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/deep_stack.h"

namespace {

constexpr size_t kFrames = 35;
constexpr size_t kBlocksOfAThread = 50;
constexpr size_t kPage = 4096;
// Threads stand at as many places of a page of stack: where all stood at one, either all of them or
// none would need one page more for what an allocation uses below.
constexpr size_t kPlaces = 64;

void KeepOneBlock(void*) {
  void* volatile kept = std::malloc(64);
  static_cast<void>(kept);
}

void FreeOneBlock(void*) {
  void* volatile block = std::malloc(64);
  std::free(block);
}

void MapPages(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    void* volatile page = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static_cast<void>(page);
  }
}

// From `count` stacks, each time the same ones.
void AtStacks(size_t count, void (*leaf)(void*)) {
  for (size_t i = 0; i < count; ++i) heapecho::bench::CallAtDepth(kFrames, i, leaf, nullptr);
}

[[gnu::noinline]] void AtPlace(size_t place) {
  void* volatile room = alloca(place % kPlaces * (kPage / kPlaces));
  static_cast<void>(room);
  AtStacks(kBlocksOfAThread, FreeOneBlock);
}

// A value of /proc/self/status, in KiB; -1 when the kernel does not give it.
long Status(const char* key) {
  FILE* status = std::fopen("/proc/self/status", "re");
  if (status == nullptr) return -1;
  long value = -1;
  char line[256];
  while (std::fgets(line, sizeof line, status) != nullptr) {
    if (std::strncmp(line, key, std::strlen(key)) == 0) {
      value = std::strtol(line + std::strlen(key), nullptr, 10);
    }
  }
  std::fclose(status);
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: own_memory BLOCKS STACKS THREADS RANGES\n");
    return 2;
  }
  const size_t blocks = std::strtoul(argv[1], nullptr, 10);
  const size_t stacks = std::strtoul(argv[2], nullptr, 10);
  const size_t threads = std::strtoul(argv[3], nullptr, 10);
  MapPages(std::strtoul(argv[4], nullptr, 10));
  AtStacks(blocks, KeepOneBlock);
  AtStacks(stacks, FreeOneBlock);
  std::barrier measured(static_cast<std::ptrdiff_t>(threads) + 1);
  std::vector<std::thread> others;
  for (size_t i = 0; i < threads; ++i) {
    others.emplace_back([&measured, i] {
      AtPlace(i);
      measured.arrive_and_wait();
      measured.arrive_and_wait();
    });
  }
  measured.arrive_and_wait();
  std::printf("{\"anonymous_kib\": %ld, \"file_kib\": %ld, \"shared_kib\": %ld}\n",
              Status("RssAnon:"), Status("RssFile:"), Status("RssShmem:"));
  measured.arrive_and_wait();
  for (std::thread& other : others) other.join();
  return 0;
}

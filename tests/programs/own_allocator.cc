// SPDX-License-Identifier: Apache-2.0
// Promise: a program that brings its own malloc inside its executable, as with an allocator linked
// statically, runs as without: its functions come before every preload's.
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/truth.h"

namespace {

// An allocator that never reuses: blocks from one arena, their size in front.
constexpr size_t kArenaBytes = size_t{256} << 20;
alignas(16) char* g_arena;
size_t g_used;
uint64_t g_foreign;
int g_lock;

struct Header {
  size_t size;
  uint64_t mark;
};
constexpr uint64_t kMark = 0x6d61726b65646221;

void* Take(size_t size) {
  while (__atomic_exchange_n(&g_lock, 1, __ATOMIC_ACQUIRE) != 0) {
  }
  if (g_arena == nullptr) g_arena = truth::Notes<char>(kArenaBytes);
  auto* header = reinterpret_cast<Header*>(g_arena + g_used);
  g_used += (sizeof(Header) + size + 15) / 16 * 16;
  __atomic_store_n(&g_lock, 0, __ATOMIC_RELEASE);
  truth::Require(g_used < kArenaBytes, "the arena is large enough");
  *header = {size, kMark};
  return header + 1;
}

Header& HeaderOf(void* block) { return static_cast<Header*>(block)[-1]; }

}  // namespace

extern "C" {

void* malloc(size_t size) { return Take(size); }

void free(void* block) {
  if (block != nullptr && HeaderOf(block).mark != kMark)
    __atomic_fetch_add(&g_foreign, 1, __ATOMIC_RELAXED);
}

void* calloc(size_t count, size_t size) { return Take(count * size); }

void* realloc(void* block, size_t size) {
  void* moved = Take(size);
  if (block != nullptr) {
    if (HeaderOf(block).mark != kMark) __atomic_fetch_add(&g_foreign, 1, __ATOMIC_RELAXED);
    std::memcpy(moved, block, HeaderOf(block).size < size ? HeaderOf(block).size : size);
  }
  return moved;
}

}  // extern "C"

int main() {
  uint64_t sum = 0;
  for (int i = 0; i < 20000; ++i) {
    char* copy = strdup("a string that the C library allocates");
    sum += std::strlen(copy);
    free(copy);
    void* block = malloc(static_cast<size_t>(10 + i % 1000));
    block = realloc(block, static_cast<size_t>(10 + i % 3000));
    free(block);
  }
  char* line = nullptr;
  size_t room = 0;
  FILE* file = fopen("/proc/self/status", "r");
  while (getline(&line, &room, file) > 0) {
  }
  fclose(file);
  free(line);
  std::vector<std::string> words;
  std::thread([&] {
    for (int i = 0; i < 20000; ++i) words.push_back(std::string(static_cast<size_t>(i % 100), 'w'));
  }).join();
  for (const std::string& word : words) sum += word.size();
  words.clear();
  truth::Say("sum %lu foreign blocks %lu", sum, g_foreign);
  return g_foreign == 0 ? 0 : 1;
}

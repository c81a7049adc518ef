// SPDX-License-Identifier: Apache-2.0
// Promise: what malloc and its kin answer at the edges stays what the allocator below answers.
#include <malloc.h>

#include <cerrno>
#include <cstring>

#include "tests/programs/truth.h"

namespace {

using truth::Escape;
using truth::Say;

constexpr size_t kTooMuch = PTRDIFF_MAX - 4096;

// What a failing call is made with must be opaque, or the compiler answers itself.
size_t Opaque(size_t value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}

const char* Outcome(void* block) { return block == nullptr ? "null" : "block"; }

void Failures() {
  errno = 0;
  void* block = malloc(Opaque(kTooMuch));
  Say("malloc too much: %s errno %d", Outcome(block), errno);
  errno = 0;
  block = calloc(Opaque(SIZE_MAX / 2), 4);
  Say("calloc overflow: %s errno %d", Outcome(block), errno);
  errno = 0;
  block = reallocarray(nullptr, Opaque(SIZE_MAX / 2), 4);
  Say("reallocarray overflow: %s errno %d", Outcome(block), errno);
  char* kept = static_cast<char*>(malloc(100));
  std::memset(kept, 'k', 100);
  errno = 0;
  block = realloc(kept, Opaque(kTooMuch));
  Say("realloc too much: %s errno %d, still %c%c", Outcome(block), errno, kept[0], kept[99]);
  block = reallocarray(kept, Opaque(SIZE_MAX / 2), 4);
  Say("reallocarray of a block: %s, still %c", Outcome(block), kept[50]);
  free(kept);
  void* untouched = &untouched;
  errno = 5;
  int error = posix_memalign(&untouched, 3, 100);
  Say("posix_memalign of 3: %d errno %d %s", error, errno,
      untouched == &untouched ? "untouched" : "changed");
  error = posix_memalign(&untouched, 64, Opaque(kTooMuch));
  Say("posix_memalign too much: %d %s", error, untouched == &untouched ? "untouched" : "changed");
}

void Edges() {
  void* first = Escape(malloc(0));
  void* second = Escape(malloc(0));
  Say("malloc(0): %s, %s", Outcome(first), first != second ? "distinct" : "the same");
  free(first);
  free(second);
  free(nullptr);
  for (int i = 0; i < 1000; ++i) {
    void* block = Escape(malloc(500));
    block = realloc(block, Opaque(0));
    if (i == 0) Say("realloc to 0: %s", Outcome(block));
    free(block);
  }
  Say("malloc_usable_size(null): %zu", malloc_usable_size(nullptr));
}

void Errno() {
  uint64_t changed = 0;
  void* window[50] = {};
  for (size_t i = 0; i < 20000; ++i) {
    errno = 4321;
    void*& slot = window[i % 50];
    free(slot);
    slot = i % 3 == 0   ? Escape(malloc(10 + i % 3000))
           : i % 3 == 1 ? Escape(calloc(3, 10 + i % 900))
                        : Escape(realloc(Escape(malloc(20)), 10 + i % 5000));
    if (errno != 4321) ++changed;
  }
  for (void* block : window) free(block);
  Say("errno changed: %lu", changed);
}

void Contents() {
  uint64_t wrong = 0;
  for (size_t size = 1; size < 20000; size += 61) {
    unsigned char* zeroed = static_cast<unsigned char*>(Escape(calloc(1, size)));
    for (size_t i = 0; i < size; ++i) wrong += zeroed[i] != 0;
    const size_t usable = malloc_usable_size(zeroed);
    wrong += usable < size;
    std::memset(zeroed, 0x5a, usable);  // all of it is the program's
    zeroed = static_cast<unsigned char*>(realloc(zeroed, 2 * size));
    for (size_t i = 0; i < size; ++i) wrong += zeroed[i] != 0x5a;
    zeroed = static_cast<unsigned char*>(realloc(zeroed, size / 2 + 1));
    for (size_t i = 0; i < size / 2; ++i) wrong += zeroed[i] != 0x5a;
    free(zeroed);
  }
  for (size_t alignment = 16; alignment <= 65536; alignment *= 2) {
    void* blocks[3] = {aligned_alloc(alignment, 2 * alignment), memalign(alignment, 100), nullptr};
    wrong += posix_memalign(&blocks[2], alignment, 50) != 0;
    for (void* block : blocks) {
      wrong += reinterpret_cast<uintptr_t>(block) % alignment != 0;
      free(block);
    }
  }
  Say("wrong contents, sizes or alignments: %lu", wrong);
}

}  // namespace

int main() {
  // Often enough that each of them is sampled.
  for (int i = 0; i < 50; ++i) {
    Failures();
    Edges();
  }
  Errno();
  Contents();
  return 0;
}

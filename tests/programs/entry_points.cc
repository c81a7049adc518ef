// SPDX-License-Identifier: Apache-2.0
// Promise: every way to ask for memory is seen, once, at its caller. Usage: entry_points BLOCKS.
#include <malloc.h>

#include <iterator>
#include <new>

#include "tests/programs/truth.h"

namespace {

using truth::Escape;

constexpr size_t kSize = 1024;  // a multiple of every alignment below, as aligned_alloc asks
struct alignas(128) Aligned {
  char bytes[kSize];
};

}  // namespace

SITE void* site_malloc() { return Escape(malloc(kSize)); }
SITE void* site_calloc() { return Escape(calloc(8, kSize / 8)); }
SITE void* site_realloc_null() { return Escape(realloc(nullptr, kSize)); }
SITE void* site_reallocarray() { return Escape(reallocarray(nullptr, 16, kSize / 16)); }
SITE void* site_aligned_alloc() { return Escape(aligned_alloc(64, kSize)); }
SITE void* site_memalign() { return Escape(memalign(256, kSize)); }
SITE void* site_posix_memalign() {
  void* block = nullptr;
  return posix_memalign(&block, 512, kSize) == 0 ? Escape(block) : nullptr;
}
SITE void* site_new() { return Escape(::operator new(kSize)); }
SITE void* site_new_array() { return Escape(new char[kSize]); }
SITE void* site_new_nothrow() { return Escape(::operator new(kSize, std::nothrow)); }
SITE void* site_new_array_nothrow() { return Escape(new (std::nothrow) char[kSize]); }
SITE void* site_new_aligned() { return Escape(new Aligned); }
SITE void* site_new_aligned_array() { return Escape(new Aligned[1]); }
SITE void* site_new_aligned_nothrow() { return Escape(new (std::nothrow) Aligned); }

namespace {

void Free(void* block) { free(block); }
void DeleteSized(void* block) { ::operator delete(block, kSize); }
void DeleteArray(void* block) { delete[] static_cast<char*>(block); }
void DeleteArraySized(void* block) { ::operator delete[](block, kSize); }
void DeleteNothrow(void* block) { ::operator delete(block, std::nothrow); }
void DeleteAligned(void* block) { delete static_cast<Aligned*>(block); }
void DeleteAlignedArray(void* block) { delete[] static_cast<Aligned*>(block); }

struct Way {
  const char* site;
  void* (*allocate)();
  void (*release)(void*);
};

constexpr Way kWays[] = {
    {"site_malloc", site_malloc, Free},
    {"site_calloc", site_calloc, Free},
    {"site_realloc_null", site_realloc_null, Free},
    {"site_reallocarray", site_reallocarray, Free},
    {"site_aligned_alloc", site_aligned_alloc, Free},
    {"site_memalign", site_memalign, Free},
    {"site_posix_memalign", site_posix_memalign, Free},
    {"site_new", site_new, DeleteSized},
    {"site_new_array", site_new_array, DeleteArray},
    {"site_new_nothrow", site_new_nothrow, DeleteNothrow},
    {"site_new_array_nothrow", site_new_array_nothrow, DeleteArraySized},
    {"site_new_aligned", site_new_aligned, DeleteAligned},
    {"site_new_aligned_array", site_new_aligned_array, DeleteAlignedArray},
    {"site_new_aligned_nothrow", site_new_aligned_nothrow, DeleteAligned},
};

}  // namespace

int main(int argc, char** argv) {
  const uint64_t blocks = truth::Argument(argc, argv, 1, 100);
  for (uint64_t i = 0; i < blocks; ++i) {
    for (const Way& way : kWays) {
      void* block = way.allocate();
      truth::Require(block != nullptr, way.site);
      if (i % 2 == 1) way.release(block);
    }
  }
  for (const Way& way : kWays) {
    truth::SaySite(way.site, kSize, blocks, blocks - blocks / 2);
  }
  return 0;
}

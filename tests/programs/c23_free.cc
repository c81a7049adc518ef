// SPDX-License-Identifier: Apache-2.0
// Promise: free_sized and free_aligned_sized, where the program finds them, free like free.
#include <dlfcn.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kSize = 1024, kAlignment = 128;
constexpr uint64_t kBlocks = 3000;
}  // namespace

SITE void* site_sized() { return Escape(malloc(kSize)); }
SITE void* site_aligned_sized() { return Escape(aligned_alloc(kAlignment, kSize)); }

int main() {
  using FreeSized = void (*)(void*, size_t);
  using FreeAlignedSized = void (*)(void*, size_t, size_t);
  const auto free_sized = reinterpret_cast<FreeSized>(dlsym(RTLD_DEFAULT, "free_sized"));
  const auto free_aligned_sized =
      reinterpret_cast<FreeAlignedSized>(dlsym(RTLD_DEFAULT, "free_aligned_sized"));
  for (uint64_t i = 0; i < kBlocks; ++i) {
    void* sized = site_sized();
    if (free_sized != nullptr)
      free_sized(sized, kSize);
    else
      free(sized);
    void* aligned = site_aligned_sized();
    if (free_aligned_sized != nullptr)
      free_aligned_sized(aligned, kAlignment, kSize);
    else
      free(aligned);
    if (i % 10 == 0) site_sized();
  }
  truth::SaySite("site_sized", kSize, kBlocks + kBlocks / 10, kBlocks / 10);
  truth::SaySite("site_aligned_sized", kSize, kBlocks, 0);
  return 0;
}

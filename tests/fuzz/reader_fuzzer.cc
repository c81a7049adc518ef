// SPDX-License-Identifier: Apache-2.0
// The entry that libFuzzer calls: see README.md.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fuzz/exercise.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  heapecho::testing::Exerciser exerciser;
  const std::string wrong = exerciser.Run({data, size});
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}

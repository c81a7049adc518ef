// SPDX-License-Identifier: Apache-2.0
// Allocates 60 blocks of 100,000 bytes in site_main(), frees 20 of them, and ends holding 40. With the word
// "wait" it says so on stdout and holds them until its stdin ends.
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

void* blocks[60];

}  // namespace

extern "C" __attribute__((noinline)) void site_main() {
  for (void*& block : blocks) {
    block = std::malloc(100000);
    asm volatile("" : : "r"(block) : "memory");  // a block that nobody looks at would not be allocated
  }
}

int main(int argc, char** argv) {
  site_main();
  for (int i = 0; i < 20; ++i) std::free(blocks[i]);
  if (argc > 1 && std::strcmp(argv[1], "wait") == 0) {
    std::puts("holding");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
  }
  return 0;
}

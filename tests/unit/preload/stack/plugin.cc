// SPDX-License-Identifier: Apache-2.0
// A library that calls back from a frame of PLUGIN_FRAME bytes. Its builds differ in nothing else, nor in the length of an
// instruction, so that one takes another's place in memory and calls back from the same address.
#include <cstring>

extern "C" __attribute__((visibility("default"), noinline)) void heapecho_plugin_call(
    void (*call)()) {
  char buffer[PLUGIN_FRAME];
  std::memset(buffer, 1, sizeof(buffer));
  __asm__ volatile("" : : "r"(buffer) : "memory");
  call();
  __asm__ volatile("" : : "r"(buffer) : "memory");
}

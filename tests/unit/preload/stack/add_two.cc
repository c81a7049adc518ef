// SPDX-License-Identifier: Apache-2.0
extern "C" __attribute__((visibility("default"), noinline)) int heapecho_test_add_two(
    int argument) {
  __asm__ volatile("");
  return argument + 2;
}

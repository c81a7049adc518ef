// SPDX-License-Identifier: Apache-2.0
// A library whose call into another one is bound when it is first made.
extern "C" __attribute__((visibility("default"))) int heapecho_test_add_two(int argument);

extern "C" __attribute__((visibility("default"), noinline)) int heapecho_test_lazily_bound(
    int argument) {
  const int result = heapecho_test_add_two(argument);
  __asm__ volatile("");
  return result;
}

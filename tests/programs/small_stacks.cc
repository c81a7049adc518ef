// SPDX-License-Identifier: Apache-2.0
// Promise: threads with the smallest stacks allocate to within a few kilobytes of their stack's
// end.
#include <alloca.h>
#include <pthread.h>

#include <climits>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr uintptr_t kLeft =
    4096;  // what the allocator itself may need, and the page the kernel guards
constexpr size_t kSize = 640;
constexpr uint64_t kBlocks = 500;
uint64_t g_done = 0;
}  // namespace

SITE void* site_small_stack() { return Escape(malloc(kSize)); }

namespace {

__attribute__((noinline)) void UseNearTheEnd(uintptr_t low) {
  const uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (here > low + kLeft) {
    char* used = static_cast<char*>(alloca(here - low - kLeft));
    used[0] = 1;
    truth::Escape(used);
  }
  for (uint64_t i = 0; i < kBlocks; ++i) {
    void* block = site_small_stack();
    if (i % 2 == 1) free(block);
  }
  ++g_done;
}

void* Run(void* low) {
  UseNearTheEnd(reinterpret_cast<uintptr_t>(low));
  return nullptr;
}

}  // namespace

int main() {
  const size_t stack_bytes = static_cast<size_t>(PTHREAD_STACK_MIN);
  constexpr uint64_t kThreads = 40;
  for (uint64_t i = 0; i < kThreads; ++i) {
    void* stack =
        mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    truth::Require(stack != MAP_FAILED, "memory for a stack");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    truth::Require(pthread_attr_setstack(&attributes, stack, stack_bytes) == 0,
                   "the smallest stack is allowed");
    pthread_t thread;
    truth::Require(pthread_create(&thread, &attributes, Run, stack) == 0, "a thread starts");
    pthread_join(thread, nullptr);
    munmap(stack, stack_bytes);
  }
  truth::Require(g_done == kThreads, "every thread came to its end");
  truth::SaySite("site_small_stack", kSize, kThreads * kBlocks, kThreads * kBlocks / 2);
  return 0;
}

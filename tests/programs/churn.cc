// SPDX-License-Identifier: Apache-2.0
// Promise: a block that comes and goes leaves nothing behind in the recording, however many do.
// Usage: churn THREADS BLOCKS. BLOCKS in all; each thread keeps a window of them, hands every
// fourth to its neighbour to free, and in the end everything is freed.
#include <pthread.h>

#include <atomic>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr size_t kWindow = 256, kSize = 64;

struct alignas(64) Mailbox {
  std::atomic<void*> block;
};

uint64_t g_threads, g_blocks_each;
Mailbox* g_mailboxes;
}  // namespace

SITE void* site_churn(size_t size) { return Escape(malloc(size)); }

namespace {

void* Run(void* argument) {
  const uint64_t index = *static_cast<uint64_t*>(argument);
  void* window[kWindow] = {};
  for (uint64_t i = 0; i < g_blocks_each; ++i) {
    void*& slot = window[i * 7 % kWindow];
    void* block = site_churn(kSize + i % 5 * 32);
    if (i % 4 == 0) block = g_mailboxes[(index + 1) % g_threads].block.exchange(block);
    if (i % 4 == 1) free(g_mailboxes[index].block.exchange(nullptr));
    free(slot);
    slot = block;
  }
  for (void* block : window) free(block);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  g_threads = truth::Argument(argc, argv, 1, 4);
  g_blocks_each = truth::Argument(argc, argv, 2, 100000) / g_threads;
  g_mailboxes = truth::Notes<Mailbox>(g_threads);
  pthread_t* threads = truth::Notes<pthread_t>(g_threads);
  uint64_t* indices = truth::Notes<uint64_t>(g_threads);
  for (uint64_t i = 0; i < g_threads; ++i) {
    indices[i] = i;
    truth::Require(pthread_create(&threads[i], nullptr, Run, &indices[i]) == 0, "a thread starts");
  }
  for (uint64_t i = 0; i < g_threads; ++i) pthread_join(threads[i], nullptr);
  for (uint64_t i = 0; i < g_threads; ++i) free(g_mailboxes[i].block.exchange(nullptr));

  for (uint64_t kind = 0; kind < 5; ++kind) {
    const uint64_t each = g_blocks_each / 5 + (kind < g_blocks_each % 5 ? 1 : 0);
    truth::SaySite("site_churn", kSize + kind * 32, each * g_threads, 0);
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Promise: threads come and go by the thousand; what they leave behind is counted, what they free
// is gone. Usage: thread_storm WAVES. Threads of a wave live at once; each leaves a quarter of its
// blocks behind.
#include <pthread.h>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr uint64_t kWave = 100, kBlocks = 32;
constexpr size_t kSize = 512;
void* g_left[kWave][kBlocks];
}  // namespace

SITE void* site_storm() { return Escape(malloc(kSize)); }

namespace {

void* Run(void* argument) {
  void** left = static_cast<void**>(argument);
  void* mine[kBlocks];
  for (void*& block : mine) block = site_storm();
  // The thread that had this place in the wave before left its blocks to this one.
  for (uint64_t i = 0; i < kBlocks; ++i) free(left[i]);
  for (uint64_t i = 0; i < kBlocks; ++i) {
    left[i] = i % 4 == 0 ? mine[i] : nullptr;
    if (i % 4 != 0) free(mine[i]);
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t waves = truth::Argument(argc, argv, 1, 40);
  for (uint64_t wave = 0; wave < waves; ++wave) {
    pthread_t threads[kWave];
    for (uint64_t i = 0; i < kWave; ++i) {
      truth::Require(pthread_create(&threads[i], nullptr, Run, g_left[i]) == 0, "a thread starts");
    }
    for (pthread_t thread : threads) pthread_join(thread, nullptr);
  }
  truth::SaySite("site_storm", kSize, waves * kWave * kBlocks, kWave * kBlocks / 4);
  return 0;
}

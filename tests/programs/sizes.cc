// SPDX-License-Identifier: Apache-2.0
// Promise: what each site holds and has allocated is estimated right, from 16 bytes to 64 MiB, in
// one thread or many, whoever frees. Usage: sizes THREADS. Each thread allocates its share at every
// site in turn; then its neighbour (with one thread: itself) frees every second block.
#include <pthread.h>

#include <iterator>

#include "tests/programs/truth.h"

namespace {

using truth::Escape;

// Sizes far below and around the interval of the test, and far above it (sampled with certainty).
// Between them, where a block escapes sampling once in thousands, no normal approximation would
// hold.
#define FOR_EACH_SIZE(X)                                                                \
  X(16, 1572864)                                                                        \
  X(48, 524288) X(256, 98304) X(1024, 24576) X(4096, 6144) X(16384, 1536) X(262144, 48) \
      X(1048576, 16) X(16777216, 8) X(67108864, 4)

constexpr size_t kMixed[] = {24, 700, 96, 8000, 40, 2500, 160, 350};
constexpr size_t kMixedBlocks = 24576;

struct Share {
  size_t index;
  void** blocks;
  size_t count;
};

}  // namespace

#define DEFINE_SITE(size, blocks) \
  SITE void* site_malloc_##size() { return Escape(malloc(size)); }
FOR_EACH_SIZE(DEFINE_SITE)
#undef DEFINE_SITE

SITE void* site_malloc_mixed(size_t size) { return Escape(malloc(size)); }

namespace {

struct Site {
  const char* name;
  size_t size;
  size_t blocks;
  void* (*allocate)();
};

constexpr Site kSites[] = {
#define TABLE_ROW(size, blocks) {"site_malloc_" #size, size, blocks, site_malloc_##size},
    FOR_EACH_SIZE(TABLE_ROW)
#undef TABLE_ROW
};

size_t g_threads = 1;
pthread_barrier_t g_all_allocated;
Share* g_shares;

// Block k of a site belongs to thread k modulo their number; sites take turns in proportion to
// their blocks.
void AllocateShare(Share& share) {
  size_t done[std::size(kSites)] = {};
  size_t mixed = 0;
  constexpr size_t kTurns = 2;  // so that every site has an even number of blocks a turn
  for (size_t turn = 1; turn <= kTurns; ++turn) {
    for (size_t s = 0; s < std::size(kSites); ++s) {
      for (; done[s] < kSites[s].blocks * turn / kTurns; ++done[s]) {
        if (done[s] % g_threads == share.index)
          share.blocks[share.count++] = kSites[s].allocate();
        else
          share.blocks[share.count++] = nullptr;
      }
    }
    for (; mixed < kMixedBlocks * turn / kTurns; ++mixed) {
      share.blocks[share.count++] = mixed % g_threads == share.index
                                        ? site_malloc_mixed(kMixed[(mixed / 2) % std::size(kMixed)])
                                        : nullptr;
    }
  }
}

void* Run(void* argument) {
  Share& share = *static_cast<Share*>(argument);
  AllocateShare(share);
  pthread_barrier_wait(&g_all_allocated);
  // Positions are the same in every share and every site has an even number of blocks a turn, so
  // odd positions hold half of each site's blocks.
  Share& neighbour = g_shares[(share.index + 1) % g_threads];
  for (size_t i = 1; i < neighbour.count; i += 2) free(neighbour.blocks[i]);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  g_threads = truth::Argument(argc, argv, 1, 1);
  size_t total = kMixedBlocks;
  for (const Site& site : kSites) total += site.blocks;
  g_shares = truth::Notes<Share>(g_threads);
  pthread_barrier_init(&g_all_allocated, nullptr, static_cast<unsigned>(g_threads));
  pthread_t* threads = truth::Notes<pthread_t>(g_threads);
  for (size_t i = 0; i < g_threads; ++i) {
    g_shares[i] = {i, truth::Notes<void*>(total), 0};
    truth::Require(pthread_create(&threads[i], nullptr, Run, &g_shares[i]) == 0, "a thread starts");
  }
  for (size_t i = 0; i < g_threads; ++i) pthread_join(threads[i], nullptr);

  for (const Site& site : kSites)
    truth::SaySite(site.name, site.size, site.blocks, site.blocks / 2);
  for (size_t m = 0; m < std::size(kMixed); ++m) {
    const uint64_t blocks = kMixedBlocks / std::size(kMixed);
    truth::SaySite("site_malloc_mixed", kMixed[m], blocks, blocks / 2);
  }
  return 0;
}

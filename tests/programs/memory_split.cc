// SPDX-License-Identifier: Apache-2.0
// Holds memory of a known split, says what it is, and ends:
//   leaked    blocks that nobody frees, and a large one of which a quarter was touched
//   arenas    16 threads allocate at once and free all but each 64th block: malloc keeps the rest
//   arenas_untouched  the same, beside a live block that is larger than all of that and was never touched
//   file PATH a file that is mapped and read, beside leaked blocks
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>

#include "tests/programs/truth.h"

namespace {

constexpr size_t kMiB = 1 << 20;
constexpr int kThreads = 16;
constexpr int kBlocks = 30000;  // a thread
constexpr int kKeptOf = 64;

size_t g_live = 0;

// What a chunk takes of its arena.
size_t ChunkBytes(void* block) { return malloc_usable_size(block) + sizeof(size_t); }

SITE void* site_leaked(size_t size) {
  void* const block = truth::Escape(malloc(size));
  memset(block, 1, size);
  g_live += size;
  return block;
}

void Leak(size_t bytes) {
  constexpr size_t kBlock = 96 << 10;  // below the first threshold of mappings of their own
  for (size_t done = 0; done < bytes; done += kBlock) site_leaked(kBlock);
}

SITE void* site_hardly_touched() {
  constexpr size_t kSize = 64 * kMiB;
  void* const block = truth::Escape(malloc(kSize));
  memset(block, 1, kSize / 4);
  g_live += kSize;
  return block;
}

SITE void* site_never_touched(size_t size) {
  g_live += size;
  return truth::Escape(malloc(size));
}

struct Worker {
  unsigned seed;
  size_t kept_bytes, freed_bytes;  // freed_bytes: as chunks
  void* blocks[kBlocks];
  size_t sizes[kBlocks];
};
pthread_barrier_t g_full;

SITE void* site_worker(void* argument) {
  auto* const worker = static_cast<Worker*>(argument);
  for (int i = 0; i < kBlocks; ++i) {
    worker->seed = worker->seed * 1103515245 + 12345;
    worker->sizes[i] = 200 + (worker->seed >> 16) % 600;
    worker->blocks[i] = truth::Escape(malloc(worker->sizes[i]));
    memset(worker->blocks[i], 1, worker->sizes[i]);
  }
  pthread_barrier_wait(&g_full);
  for (int i = 0; i < kBlocks; ++i) {
    if (i % kKeptOf == kKeptOf - 1) {
      worker->kept_bytes += worker->sizes[i];
      continue;
    }
    worker->freed_bytes += ChunkBytes(worker->blocks[i]);
    free(worker->blocks[i]);
  }
  return nullptr;
}

// Gives what was freed and is kept, since blocks all over hold it fast.
size_t FillArenas() {
  // Of its own: the heap is malloc's alone.
  auto* const workers =
      static_cast<Worker*>(mmap(nullptr, kThreads * sizeof(Worker), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  pthread_t threads[kThreads];
  pthread_barrier_init(&g_full, nullptr, kThreads);
  for (int i = 0; i < kThreads; ++i) {
    workers[i].seed = static_cast<unsigned>(i + 1);
    pthread_create(&threads[i], nullptr, site_worker, &workers[i]);
  }
  size_t freed = 0;
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], nullptr);
    freed += workers[i].freed_bytes;
    g_live += workers[i].kept_bytes;
  }
  munmap(workers, kThreads * sizeof(Worker));
  return freed;
}

size_t MapFile(const char* path) {
  const int file = open(path, O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) std::_Exit(97);
  const auto size = static_cast<size_t>(status.st_size);
  auto* const bytes =
      static_cast<const volatile char*>(mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0));
  char sum = 0;
  for (size_t at = 0; at < size; at += 4096) sum = static_cast<char>(sum + bytes[at]);
  return sum == 1 ? 0 : size;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const what = argc > 1 ? argv[1] : "";
  size_t retained = 0, untouched = 0, file = 0;
  if (strcmp(what, "arenas") == 0) {
    retained = FillArenas();
  } else if (strcmp(what, "arenas_untouched") == 0) {
    untouched = 512 * kMiB;
    site_never_touched(untouched);
    retained = FillArenas();
  } else if (strcmp(what, "file") == 0 && argc > 2) {
    Leak(40 * kMiB);
    file = MapFile(argv[2]);
  } else if (strcmp(what, "leaked") == 0) {
    Leak(160 * kMiB);
    site_hardly_touched();
    untouched = 48 * kMiB;
  } else {
    return 2;
  }
  truth::Say("{\"live\": %zu, \"untouched\": %zu, \"malloc\": %zu, \"file_backed\": %zu}", g_live,
             untouched, retained, file);
  _exit(0);
}

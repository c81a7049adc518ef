// SPDX-License-Identifier: Apache-2.0
// mapping_churn THREADS OPERATIONS [fork]: maps, unmaps in part, remaps, maps over, gives back, and
// fails at it, in each of THREADS threads; with "fork" a child does the same again with what it
// inherited. Then each process says what of each site is mapped, copies its /proc/self/smaps, and
// goes on mapping and unmapping for two minutes of the clock.
//
// Every call leaves errno as the C library's own does. Mappings have 64 KiB and more, so each is
// certain to be recorded.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <random>

#include "tests/programs/truth.h"

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kLeast = 64 << 10;
constexpr size_t kMostPieces = 128;
constexpr size_t kMostThreads = 8;
constexpr int kUntouched = 77;  // errno before a call that succeeds

enum Site : uint8_t { kPrivate, kShared, kFixed, kRemapped, kSites };
const char* const kNames[] = {"site_map_private", "site_map_shared", "site_map_fixed",
                              "site_remap"};

struct Piece {
  char* start;
  size_t length;
  Site site;
  bool shared;
};
struct Mine {
  Piece pieces[kMostPieces];
  size_t count;
  uint64_t operations;
  uint32_t seed;
};
Mine* g_threads = nullptr;

SITE void* site_map_private(size_t length) {
  return truth::Escape(
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
SITE void* site_map_shared(size_t length) {
  return truth::Escape(
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}
SITE void* site_map_fixed(void* at, size_t length) {
  return truth::Escape(
      mmap(at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}
SITE void* site_remap(void* at, size_t old_length, size_t length) {
  return truth::Escape(mremap(at, old_length, length, MREMAP_MAYMOVE));
}
SITE void* site_reserve(size_t length) {
  return truth::Escape(mmap(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
SITE void* site_give_back(size_t length) {
  return truth::Escape(
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

SITE void* site_sbrk(intptr_t bytes) { return truth::Escape(sbrk(bytes)); }

// A call that succeeds leaves errno alone.
template <typename Call>
void Succeeds(Call call, const char* what) {
  errno = kUntouched;
  truth::Require(call(), what);
  truth::Require(errno == kUntouched, what);
}

template <typename Call>
void FailsWith(int error, Call call, const char* what) {
  errno = kUntouched;
  truth::Require(call(), what);
  truth::Require(errno == error, what);
}

void Add(Mine& mine, void* start, size_t length, Site site, bool shared) {
  if (length == 0) return;
  truth::Require(mine.count < kMostPieces, "room for a piece");
  mine.pieces[mine.count++] = {static_cast<char*>(start), length, site, shared};
}

void Map(Mine& mine, size_t length, bool shared) {
  void* mapped = nullptr;
  Succeeds(
      [&] {
        return (mapped = shared ? site_map_shared(length) : site_map_private(length)) != MAP_FAILED;
      },
      "mmap");
  memset(mapped, 1, length / 2);
  Add(mine, mapped, length, shared ? kShared : kPrivate, shared);
}

// Leaves of piece `i` what is not in `from` to `to`, in bytes.
void CutOut(Mine& mine, size_t i, size_t from, size_t to) {
  const Piece piece = mine.pieces[i];
  mine.pieces[i] = mine.pieces[--mine.count];
  Add(mine, piece.start, from, piece.site, piece.shared);
  Add(mine, piece.start + to, piece.length - to, piece.site, piece.shared);
}

void Fail(const Piece& piece) {
  FailsWith(
      EINVAL, [&] { return munmap(piece.start + 1, kPage) == -1; }, "munmap of an odd address");
  FailsWith(
      EINVAL, [&] { return munmap(piece.start, 0) == -1; }, "munmap of nothing");
  FailsWith(
      EINVAL,
      [&] { return mmap(nullptr, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED; },
      "mmap of nothing");
  FailsWith(
      EBADF,
      [&] {
        return mmap(piece.start, piece.length, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0) ==
               MAP_FAILED;
      },
      "mmap over, of no file");
  FailsWith(
      EINVAL, [&] { return mremap(piece.start, piece.length, 0, MREMAP_MAYMOVE) == MAP_FAILED; },
      "mremap to nothing");
  FailsWith(
      EINVAL, [&] { return madvise(piece.start + 1, kPage, MADV_DONTNEED) == -1; },
      "madvise of an odd address");
}

void Operate(Mine& mine, std::minstd_rand& random) {
  const auto below = [&random](size_t limit) { return static_cast<size_t>(random()) % limit; };
  const size_t length = kLeast + below(48) * kPage;
  if (mine.count < 4 || (mine.count < kMostPieces / 2 && below(3) == 0))
    return Map(mine, length, below(2) == 0);
  const size_t i = below(mine.count);
  const Piece piece = mine.pieces[i];
  const size_t pages = piece.length / kPage;
  const size_t first = below(pages), count = 1 + below(pages - first);
  switch (below(mine.count >= kMostPieces - 2 ? 1 : 5)) {
    case 0:
      Succeeds([&] { return munmap(piece.start, piece.length) == 0; }, "munmap");
      mine.pieces[i] = mine.pieces[--mine.count];
      break;
    case 1:
      Succeeds([&] { return munmap(piece.start + first * kPage, count * kPage) == 0; },
               "munmap in part");
      CutOut(mine, i, first * kPage, (first + count) * kPage);
      break;
    case 2: {  // larger: anew, at whoever's line it is now; smaller: what is left stays whose it
               // was
      void* moved = nullptr;
      const size_t wanted = below(2) == 0 ? piece.length + length : (1 + below(pages)) * kPage;
      Succeeds(
          [&] { return (moved = site_remap(piece.start, piece.length, wanted)) != MAP_FAILED; },
          "mremap");
      mine.pieces[i] = {static_cast<char*>(moved), wanted,
                        wanted > piece.length ? kRemapped : piece.site, piece.shared};
      break;
    }
    case 3: {
      if (count * kPage < kLeast) break;
      char* const at = piece.start + first * kPage;
      Succeeds([&] { return site_map_fixed(at, count * kPage) == at; }, "mmap over what is there");
      CutOut(mine, i, first * kPage, (first + count) * kPage);
      Add(mine, at, count * kPage, kFixed, false);
      break;
    }
    case 4:
      Fail(piece);
      break;
  }
}

void* Churn(void* argument) {
  Mine& mine = *static_cast<Mine*>(argument);
  std::minstd_rand random(mine.seed);
  for (uint64_t i = 0; i < mine.operations; ++i) Operate(mine, random);
  return nullptr;
}

// Address space of which a part is used, and memory of which a part is given back: each with as
// many pages as it has. The space is below all else, and small enough to be measured in whole at
// any look.
void UseInPart() {
  constexpr size_t kSpace = 8 << 20, kUsed = 300 * kPage, kGiven = 100 * kPage;
  auto* const given = static_cast<char*>(site_give_back(1 << 20));
  truth::Require(given != MAP_FAILED, "memory");
  madvise(given, 1 << 20, MADV_NOHUGEPAGE);
  memset(given, 1, 1 << 20);
  Succeeds([&] { return madvise(given + kPage, kGiven, MADV_DONTNEED) == 0; }, "madvise");
  truth::SaySite("site_give_back", (1 << 20) - kGiven, 1, 1);
  auto* const space = static_cast<char*>(site_reserve(kSpace));
  truth::Require(space != MAP_FAILED, "address space");
  truth::Require(madvise(space, kSpace, MADV_NOHUGEPAGE) == 0, "small pages");
  truth::Require(mprotect(space + (1 << 20), 1 << 22, PROT_READ | PROT_WRITE) == 0, "mprotect");
  memset(space + (1 << 20), 1, kUsed);
  truth::SaySite("site_reserve", kUsed, 1, 1);
}

// The break is moved up, and half of the way down again.
void MoveBreak() {
  void* before = nullptr;
  Succeeds([&] { return (before = site_sbrk(4 * kLeast)) != reinterpret_cast<void*>(-1); }, "sbrk");
  Succeeds([&] { return brk(static_cast<char*>(before) + 2 * kLeast) == 0; }, "brk");
  FailsWith(
      ENOMEM, [] { return brk(reinterpret_cast<void*>(-1)) == -1; }, "brk to the end of memory");
  truth::SaySite("site_sbrk", 2 * kLeast, 1, 1);
}

void SayWhatIsThere(size_t threads) {
  uint64_t bytes[kSites] = {};
  for (size_t t = 0; t < threads; ++t) {
    for (size_t i = 0; i < g_threads[t].count; ++i)
      bytes[g_threads[t].pieces[i].site] += g_threads[t].pieces[i].length;
  }
  for (int site = 0; site < kSites; ++site) {
    truth::Say("{\"pid\": %d, \"mapped\": \"%s\", \"bytes\": %lu}", getpid(), kNames[site],
               static_cast<unsigned long>(bytes[site]));
  }
}

// To a file "smaps.PID": nothing of the heap's is used for it.
void CopySmaps() {
  char name[32];
  std::snprintf(name, sizeof name, "smaps.%d", getpid());
  const int from = open("/proc/self/smaps", O_RDONLY),
            to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  static char buffer[16384];
  for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;) {
    truth::Require(write(to, buffer, static_cast<size_t>(got)) == got, "the copy of smaps");
  }
  close(from);
  close(to);
}

int64_t Seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

void ChurnInThreads(size_t threads) {
  pthread_t others[kMostThreads];
  for (size_t t = 1; t < threads; ++t) pthread_create(&others[t], nullptr, Churn, &g_threads[t]);
  Churn(&g_threads[0]);
  for (size_t t = 1; t < threads; ++t) pthread_join(others[t], nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const size_t threads = truth::Argument(argc, argv, 1, 4);
  truth::Require(threads >= 1 && threads <= kMostThreads, "one thread to eight");
  g_threads = truth::Notes<Mine>(threads);
  for (size_t t = 0; t < threads; ++t) {
    g_threads[t].operations = truth::Argument(argc, argv, 2, 2000);
    g_threads[t].seed = static_cast<uint32_t>(t + 1);
  }
  ChurnInThreads(threads);
  UseInPart();
  MoveBreak();
  const bool forks = argc > 3 && std::strcmp(argv[3], "fork") == 0;
  const pid_t child = forks ? fork() : 1;
  if (child == 0) ChurnInThreads(threads);
  SayWhatIsThere(threads);
  CopySmaps();
  // Events, so that somebody looks, a few times.
  for (const int64_t start = Seconds(); Seconds() < start + 120;)
    munmap(site_map_private(kLeast), kLeast);
  int status = 0;
  if (child > 1 && forks)
    truth::Require(waitpid(child, &status, 0) == child && status == 0, "the child's end");
  return 0;
}

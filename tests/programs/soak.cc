// SPDX-License-Identifier: Apache-2.0
// Promise: of days of traffic a slow leak is found, and what it costs stays as it was.
// Usage: soak BLOCKS. Allocates BLOCKS blocks at ten sites, of which a cache keeps the last ones of
// each and frees the others; one in a hundred is leaked at a site of its own. Says at each
// fiftieth of the traffic what time it is, how much has been leaked and how much is resident.
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "tests/programs/truth.h"

namespace {
using truth::Escape;
constexpr uint64_t kSites = 10, kWindow = 200, kMarks = 50;
constexpr size_t kLeakSize = 200;
}  // namespace

#define CACHE_SITE(n) \
  SITE void* site_cache_##n(size_t size) { return Escape(malloc(size)); }
CACHE_SITE(0)
CACHE_SITE(1)
CACHE_SITE(2)
CACHE_SITE(3)
CACHE_SITE(4)
CACHE_SITE(5)
CACHE_SITE(6)
CACHE_SITE(7)
CACHE_SITE(8)
CACHE_SITE(9)
SITE void* site_leak(size_t size) { return Escape(malloc(size)); }

namespace {

size_t SizeOf(uint64_t site) { return 64 + site * 96; }

uint64_t AnonymousKiB() {
  static char status[8192];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const ssize_t length = read(fd, status, sizeof status - 1);
  close(fd);
  status[length > 0 ? length : 0] = '\0';
  const char* line = std::strstr(status, "RssAnon:");
  return line != nullptr ? std::strtoull(line + std::strlen("RssAnon:"), nullptr, 10) : 0;
}

void Mark(uint64_t leaked) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  truth::Say("{\"mark_ns\": %lu, \"leaked\": %lu, \"anonymous_kib\": %lu}",
             static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec),
             leaked * kLeakSize, AnonymousKiB());
}

}  // namespace

int main(int argc, char** argv) {
  void* (*const caches[kSites])(size_t) = {site_cache_0, site_cache_1, site_cache_2, site_cache_3,
                                           site_cache_4, site_cache_5, site_cache_6, site_cache_7,
                                           site_cache_8, site_cache_9};
  const uint64_t blocks = truth::Argument(argc, argv, 1, 100000);
  void** const kept = truth::Notes<void*>(kSites * kWindow);
  uint64_t leaked = 0;
  uint64_t allocated[kSites] = {};
  for (uint64_t i = 0; i < blocks; ++i) {
    if (i % (blocks / kMarks) == 0) Mark(leaked);
    if (i % 100 == 99) {
      site_leak(kLeakSize);
      ++leaked;
      continue;
    }
    const uint64_t site = i % kSites;
    void*& slot = kept[site * kWindow + allocated[site]++ % kWindow];
    free(slot);
    slot = caches[site](SizeOf(site));
  }
  Mark(leaked);
  for (uint64_t site = 0; site < kSites; ++site) {
    char name[32];
    std::snprintf(name, sizeof name, "site_cache_%lu", site);
    truth::SaySite(name, SizeOf(site), allocated[site],
                   allocated[site] < kWindow ? allocated[site] : kWindow);
  }
  truth::SaySite("site_leak", kLeakSize, leaked, leaked);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// A library whose clock on the wall jumps at each look, by a day forth and by a year back in turn; its other clocks run as
// they are. Preloaded behind heapecho, it is the clock that heapecho sees.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  static std::atomic<unsigned> looks = 0;
  const long result = syscall(SYS_clock_gettime, clock, now);
  constexpr time_t kDay = 86400;
  if (clock == CLOCK_REALTIME && result == 0)
    now->tv_sec += looks.fetch_add(1) % 2 == 0 ? kDay : -365 * kDay;
  return static_cast<int>(result);
}

// SPDX-License-Identifier: Apache-2.0
// A library to be preloaded beside heapecho: clocks of the wall run FAST_CLOCK times as fast, so
// that a test sees days go by. Clocks of CPU time stay as they are.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <initializer_list>

namespace {

constexpr int64_t kSecond = 1000000000;

int64_t Real(clockid_t clock) {
  timespec now = {};
  syscall(SYS_clock_gettime, clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

int64_t g_factor = 0;
int64_t g_start[3];  // of CLOCK_MONOTONIC, when the first one asked, and of the two others then

__attribute__((constructor)) void Start() {
  const char* const text = std::getenv("FAST_CLOCK");
  for (const clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME})
    g_start[clock == CLOCK_MONOTONIC ? 0 : clock == CLOCK_REALTIME ? 1 : 2] = Real(clock);
  g_factor = text != nullptr ? std::atoll(text) : 1;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int clock_gettime(clockid_t clock,
                                                                    timespec* out) noexcept {
  const bool is_wall =
      clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME;
  if (!is_wall || g_factor == 0) return static_cast<int>(syscall(SYS_clock_gettime, clock, out));
  const int64_t passed = Real(CLOCK_MONOTONIC) - g_start[0];
  const int64_t now = g_start[clock == CLOCK_MONOTONIC  ? 0
                              : clock == CLOCK_REALTIME ? 1
                                                        : 2] +
                      passed * g_factor;
  *out = {.tv_sec = now / kSecond, .tv_nsec = now % kSecond};
  return 0;
}

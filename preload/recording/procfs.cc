// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/procfs.h"

#include <fcntl.h>
#include <time.h>

#include "preload/base/syscalls.h"

namespace heapecho::recording {

using base::Failed;
using base::Syscall;

size_t ReadSmallFile(const char* path, char* buffer, size_t room) {
  buffer[0] = '\0';
  const long fd = Syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
  if (Failed(fd)) return 0;
  size_t length = 0;
  while (length + 1 < room) {
    const long got = Syscall(SYS_read, fd, buffer + length, room - 1 - length);
    if (got == -4) continue;  // EINTR
    if (got <= 0) break;
    length += static_cast<size_t>(got);
  }
  Syscall(SYS_close, fd);
  buffer[length] = '\0';
  return length;
}

size_t ReadLink(const char* path, char* buffer, size_t room) {
  const long length = Syscall(SYS_readlinkat, AT_FDCWD, path, buffer, room - 1);
  const size_t end = length > 0 ? static_cast<size_t>(length) : 0;
  buffer[end] = '\0';
  return end;
}

uint64_t ParseDecimal(const char* text, const char** end) {
  uint64_t value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + static_cast<uint64_t>(*text++ - '0');
  if (end != nullptr) *end = text;
  return value;
}

uint64_t ClockNs(int clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

void FillRandom(void* bytes, size_t count) {
  if (Syscall(SYS_getrandom, bytes, count, 1 /* GRND_NONBLOCK */) == static_cast<long>(count)) return;
  uint64_t state = ClockNs(CLOCK_MONOTONIC) ^ reinterpret_cast<uintptr_t>(bytes) ^
                   static_cast<uint64_t>(Syscall(SYS_getpid)) << 32;
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    static_cast<uint8_t*>(bytes)[i] = static_cast<uint8_t>(state >> 56);
  }
}

}  // namespace heapecho::recording

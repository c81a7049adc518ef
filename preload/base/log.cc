// SPDX-License-Identifier: Apache-2.0
#include "preload/base/log.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <atomic>

#include "preload/base/syscalls.h"

namespace heapecho::base {
namespace {

struct FileIdentity {
  dev_t device;
  ino_t inode;
  dev_t special;
};

constinit FileIdentity g_stderr = {};
constinit std::atomic<bool> g_complained = false;

bool IdentityOf(int fd, FileIdentity* identity) {
  struct stat status;
  if (Failed(Syscall(SYS_fstat, fd, &status))) return false;
  *identity = {.device = status.st_dev, .inode = status.st_ino, .special = status.st_rdev};
  return true;
}

bool IsSameStderr() {
  FileIdentity now;
  return IdentityOf(2, &now) && now.device == g_stderr.device && now.inode == g_stderr.inode &&
         now.special == g_stderr.special;
}

}  // namespace

void RememberStderr() {
  if (!IdentityOf(2, &g_stderr)) g_complained.store(true, std::memory_order_relaxed);
}

void Complain(const char* a, const char* b, const char* c, const char* d, const char* e) {
  if (g_complained.exchange(true, std::memory_order_relaxed)) return;
  if (!IsSameStderr()) return;
  char line[512] = "heapecho: ";
  size_t length = strlen(line);
  for (const char* part : {a, b, c, d, e}) {
    if (part == nullptr) continue;
    size_t more = strlen(part);
    if (more > sizeof line - 1 - length) more = sizeof line - 1 - length;
    memcpy(line + length, part, more);
    length += more;
  }
  line[length++] = '\n';
  Syscall(SYS_write, 2, line, length);
}

void Tell(const char* line, size_t length) {
  if (!IsSameStderr()) return;
  pollfd stderr_now = {.fd = 2, .events = POLLOUT, .revents = 0};
  constexpr timespec kNow = {};
  // A reader that is gone would answer with SIGPIPE, a full pipe keep us waiting.
  if (Syscall(SYS_ppoll, &stderr_now, 1, &kNow, nullptr, 0) != 1 || stderr_now.revents != POLLOUT) return;
  Syscall(SYS_write, 2, line, length);
}

}  // namespace heapecho::base

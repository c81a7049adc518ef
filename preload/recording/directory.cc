// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include "preload/base/syscalls.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;

constexpr size_t kLongestPath = 512;

int ErrnoOf(long result) { return static_cast<int>(-result); }

bool IsDirectory(const char* path) {
  const long fd = Syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (Failed(fd)) return false;
  Syscall(SYS_close, fd);
  return true;
}

// Appends at most `most` characters of `text` that are harmless in a file name; others become '_'.
char* AppendName(char* out, const char* text, size_t most) {
  for (size_t i = 0; i < most && text[i] != '\0' && text[i] != '\n'; ++i) {
    const char c = text[i];
    const bool harmless = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          c == '.' || c == '_';
    *out++ = harmless ? c : '_';
  }
  return out;
}

char* AppendHex(char* out, const uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    *out++ = "0123456789abcdef"[bytes[i] >> 4];
    *out++ = "0123456789abcdef"[bytes[i] & 15];
  }
  return out;
}

}  // namespace

Trouble PrepareDirectory(const char* path) {
  if (IsDirectory(path)) return {};
  char partial[kLongestPath];
  const size_t length = strlen(path);
  if (length == 0 || length >= sizeof partial) return {.what = "its path is too long", .error = 0};
  const bool root = Syscall(SYS_geteuid) == 0;
  for (size_t i = 1; i <= length; ++i) {
    if (path[i] != '/' && path[i] != '\0') continue;
    memcpy(partial, path, i);
    partial[i] = '\0';
    const bool last = i == length;
    const long made = Syscall(SYS_mkdirat, AT_FDCWD, partial, last ? 0700 : 0755);
    if (Failed(made)) {
      if (IsDirectory(partial)) continue;  // there already, or another process was first
      return {.what = "cannot be made", .error = ErrnoOf(made)};
    }
    if (last && root) Syscall(SYS_fchmodat, AT_FDCWD, partial, 01777);  // mkdir's mode is masked
  }
  return {};
}

bool IsMappingSafe(int fd) {
  struct statfs system = {};
  if (Failed(Syscall(SYS_fstatfs, fd, &system))) return false;
  switch (static_cast<unsigned long>(system.f_type)) {
    case EXT4_SUPER_MAGIC:  // and ext2, ext3
    case XFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
      return true;
    case OVERLAYFS_SUPER_MAGIC:
      // All but the type is the file system's below: btrfs has no number of inodes, ZFS blocks of two sizes.
      return system.f_files != 0 && system.f_bsize == system.f_frsize;
    default:
      return false;
  }
}

void AskForWritingInPlace(int fd) {
  struct statfs system = {};
  if (Failed(Syscall(SYS_fstatfs, fd, &system))) return;
  const auto type = static_cast<unsigned long>(system.f_type);
  if (type != BTRFS_SUPER_MAGIC && type != OVERLAYFS_SUPER_MAGIC) return;
  int flags = 0;
  if (Failed(Syscall(SYS_ioctl, fd, FS_IOC_GETFLAGS, &flags))) return;
  flags |= FS_NOCOW_FL;
  Syscall(SYS_ioctl, fd, FS_IOC_SETFLAGS, &flags);
}

bool IsOnTmpfs(const char* path) {
  char partial[kLongestPath];
  size_t length = strlen(path);
  if (length >= sizeof partial) return false;
  memcpy(partial, path, length + 1);
  struct statfs system = {};
  while (length > 0 && Failed(Syscall(SYS_statfs, partial, &system))) {
    while (length > 0 && partial[--length] != '/') {
    }
    partial[length] = '\0';
  }
  return system.f_type == TMPFS_MAGIC;
}

int CreateRecordingFile(const char* directory, uint64_t start_realtime_ns, char* path, size_t room,
                        Trouble* trouble) {
  const size_t length = strlen(directory);
  constexpr size_t kLongestName = 160;
  if (length + 1 + kLongestName > room) {
    *trouble = {.what = "its path is too long", .error = 0};
    return -1;
  }
  memcpy(path, directory, length);
  char* out = path + length;
  *out++ = '/';
  char command[64];
  ReadSmallFile("/proc/self/comm", command, sizeof command);
  out = AppendName(out, command[0] != '\0' ? command : "unknown", 32);
  *out++ = '-';
  utsname system = {};
  Syscall(SYS_uname, &system);
  out = AppendName(out, system.nodename, 48);
  *out++ = '-';
  out = FormatDecimal(out, static_cast<uint64_t>(Syscall(SYS_getpid)));
  *out++ = '-';
  out = FormatDecimal(out, start_realtime_ns / 1000000000);
  *out++ = '-';
  for (int tries = 0; tries < 8; ++tries) {
    uint8_t random[4];
    FillRandom(random, sizeof random);
    strcat(strcpy(AppendHex(out, random, sizeof random), ".heapecho"), kBegunSuffix);
    const long fd = Syscall(SYS_openat, AT_FDCWD, path,
                            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (!Failed(fd)) return static_cast<int>(fd);
    *trouble = {.what = "takes no file", .error = ErrnoOf(fd)};
    if (ErrnoOf(fd) != EEXIST) return -1;
  }
  return -1;
}

Trouble PublishRecordingFile(char* path, char* scratch) {
  const size_t length = strlen(path) - strlen(kBegunSuffix);
  char* const begun = strcpy(scratch, path);
  path[length] = '\0';
  constexpr int kNoReplace = 1;  // RENAME_NOREPLACE
  long result = Syscall(SYS_renameat2, AT_FDCWD, begun, AT_FDCWD, path, kNoReplace);
  // File systems without that flag: link refuses to replace as well.
  if (result == -EINVAL || result == -ENOSYS) {
    result = Syscall(SYS_linkat, AT_FDCWD, begun, AT_FDCWD, path, 0);
    if (!Failed(result)) result = Syscall(SYS_unlinkat, AT_FDCWD, begun, 0);
  }
  if (!Failed(result)) return {};
  strcpy(path, begun);
  return {.what = "takes no file", .error = ErrnoOf(result)};
}

}  // namespace heapecho::recording

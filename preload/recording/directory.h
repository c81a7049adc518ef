// SPDX-License-Identifier: Apache-2.0
// The folder that recordings are written to, and new files in it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::recording {

// Why no file can be had. `what` is a constant; null: there is no trouble.
struct Trouble {
  const char* what;
  int error;  // errno, or 0
};

// Makes `path` if it is missing, parents too: mode 1777 by root (any user's workers write there), else 0700.
Trouble PrepareDirectory(const char* path);

// Whether a shared file mapping is safe there: stores never raise SIGBUS once a page was made present, and
// what was stored outlives SIGKILL. ext2/3/4, XFS, tmpfs, and overlayfs above one of these.
bool IsMappingSafe(int fd);

// Of a file without content that is going to be written again and again: asks a file system that never writes
// in place (btrfs) to do so here. It then has room for what has been written once, however full it is, and
// keeps the file in one piece. Elsewhere nothing.
void AskForWritingInPlace(int fd);

// Whether what is written to `path`, or to the nearest folder above it that exists, is memory.
bool IsOnTmpfs(const char* path);

// A recording is begun under its name with this behind it, and gets its name when a reader can make sense of it:
// a process that is killed in between leaves no recording that cannot be opened. What such a one leaves is
// swept with the recordings that make room (retention.h).
inline constexpr char kBegunSuffix[] = ".new";

// Creates COMMAND-HOST-PID-START-RANDOM.heapecho.new in `directory`, O_EXCL, O_NOFOLLOW, mode 0600. Returns the
// descriptor (the caller closes it) and writes its path; -1 and `trouble` on failure.
int CreateRecordingFile(const char* directory, uint64_t start_realtime_ns, char* path, size_t room,
                        Trouble* trouble);

// Takes the suffix off the file's name and off `path`. Never replaces another file. `scratch` has room for a
// path.
Trouble PublishRecordingFile(char* path, char* scratch);

// As getdents64 fills it in; libc's headers have no name for it.
struct DirectoryEntry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

}  // namespace heapecho::recording

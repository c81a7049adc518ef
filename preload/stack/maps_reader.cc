// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/maps_reader.h"

#include <fcntl.h>

#include <cstring>

#include "preload/base/syscalls.h"

namespace heapecho::stack {
namespace {

using base::Failed;
using base::Syscall;

struct Cursor {
  const char* at;
  const char* end;

  // Reads digits up to `stop` and steps over it.
  bool Number(unsigned radix, char stop, uint64_t* value) {
    *value = 0;
    for (; at != end; ++at) {
      const char c = *at;
      if (c == stop) {
        ++at;
        return true;
      }
      unsigned digit;
      if (c >= '0' && c <= '9') {
        digit = static_cast<unsigned>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<unsigned>(c - 'a') + 10;
      } else {
        return false;
      }
      if (digit >= radix) return false;
      *value = *value * radix + digit;
    }
    return false;
  }
};

bool Parse(const char* text, size_t length, MapsLine* line) {
  Cursor cursor{text, text + length};
  uint64_t start, end, major, minor;
  if (!cursor.Number(16, '-', &start) || !cursor.Number(16, ' ', &end)) return false;
  if (cursor.end - cursor.at < 5) return false;
  line->start = start;
  line->end = end;
  line->readable = cursor.at[0] == 'r';
  line->writable = cursor.at[1] == 'w';
  line->executable = cursor.at[2] == 'x';
  cursor.at += 5;
  if (!cursor.Number(16, ' ', &line->offset) || !cursor.Number(16, ':', &major) ||
      !cursor.Number(16, ' ', &minor) || !cursor.Number(10, ' ', &line->inode)) {
    return false;
  }
  line->device = major << 32 | minor;
  while (cursor.at != cursor.end && *cursor.at == ' ') ++cursor.at;
  line->path = cursor.at;
  line->path_length = static_cast<size_t>(cursor.end - cursor.at);
  return true;
}

}  // namespace

MapsReader::MapsReader(char* buffer)
    : buffer_(buffer),
      fd_(static_cast<int>(
          Syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0))) {}

MapsReader::~MapsReader() {
  if (fd_ >= 0) Syscall(SYS_close, fd_);
}

bool MapsReader::Fill() {
  std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  for (;;) {
    const long got = Syscall(SYS_read, fd_, buffer_ + end_, kBufferSize - end_);
    if (got == -4) continue;  // EINTR
    at_end_ = got == 0 && end_ == 0;
    if (got <= 0) return false;
    end_ += static_cast<size_t>(got);
    return true;
  }
}

bool MapsReader::Next(MapsLine* line) {
  if (fd_ < 0) return false;
  for (;;) {
    const void* newline = std::memchr(buffer_ + begin_, '\n', end_ - begin_);
    if (newline != nullptr) {
      const char* text = buffer_ + begin_;
      const size_t length = static_cast<size_t>(static_cast<const char*>(newline) - text);
      begin_ += length + 1;
      return Parse(text, length, line);
    }
    if (end_ - begin_ == kBufferSize || !Fill()) return false;
  }
}

}  // namespace heapecho::stack

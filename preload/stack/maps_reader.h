// SPDX-License-Identifier: Apache-2.0
// Reads /proc/self/maps line by line by raw system calls, with a buffer that the caller provides.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::stack {

struct MapsLine {
  uintptr_t start, end;
  bool readable, writable, executable;
  uint64_t offset;
  uint64_t device, inode;
  const char* path;  // not NUL-terminated; "" for anonymous memory; valid until the next call
  size_t path_length;
};

// Not thread-safe; each reading needs its own. Opens the file, holds the descriptor until
// destroyed.
class MapsReader {
 public:
  static constexpr size_t kBufferSize =
      16384;  // a line is shorter: its path has at most 4096 bytes

  explicit MapsReader(char* buffer);  // kBufferSize bytes
  ~MapsReader();
  MapsReader(const MapsReader&) = delete;
  MapsReader& operator=(const MapsReader&) = delete;

  // False at the end, or when the file cannot be opened or read, or a line is not as expected.
  bool Next(MapsLine* line);

  // After Next() said false: whether it was the end.
  bool AtEnd() const { return at_end_; }

 private:
  bool Fill();

  char* const buffer_;
  size_t begin_ = 0;  // the part of the buffer that is read and not yet handed out
  size_t end_ = 0;
  int fd_;
  bool at_end_ = false;
};

}  // namespace heapecho::stack

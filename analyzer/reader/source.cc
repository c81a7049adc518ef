// SPDX-License-Identifier: Apache-2.0
#include "analyzer/reader/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace heapecho::reader {
namespace {

class BytesInMemory final : public Source {
 public:
  explicit BytesInMemory(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t size() const override { return bytes_.size(); }
  uint64_t disk_bytes() const override { return bytes_.size(); }

  size_t Read(uint64_t offset, size_t length, void* out) override {
    if (length == 0 || offset >= bytes_.size()) return 0;  // then `out` may be null
    const size_t count = std::min<uint64_t>(length, bytes_.size() - offset);
    std::memcpy(out, bytes_.data() + offset, count);
    return count;
  }

  std::vector<ByteRange> Present(uint64_t begin, uint64_t end) override {
    end = std::min<uint64_t>(end, bytes_.size());
    if (begin >= end) return {};
    return {{begin, end}};
  }

 private:
  absl::Span<const uint8_t> bytes_;
};

class OpenedFile final : public Source {
 public:
  OpenedFile(int fd, const struct stat& status)
      : fd_(fd),
        size_(static_cast<uint64_t>(status.st_size)),
        disk_bytes_(static_cast<uint64_t>(status.st_blocks) * 512) {}
  OpenedFile(const OpenedFile&) = delete;
  OpenedFile& operator=(const OpenedFile&) = delete;
  ~OpenedFile() override { close(fd_); }

  uint64_t size() const override { return size_; }
  uint64_t disk_bytes() const override { return disk_bytes_; }

  size_t Read(uint64_t offset, size_t length, void* out) override {
    size_t count = 0;
    while (count < length && offset + count < size_) {
      const ssize_t got = pread(fd_, static_cast<char*>(out) + count, length - count,
                                static_cast<off_t>(offset + count));
      if (got > 0) {
        count += static_cast<size_t>(got);
      } else if (got == 0) {
        break;
      } else if (errno != EINTR) {
        if (error_ == 0) error_ = errno;
        break;
      }
    }
    return count;
  }

  std::vector<ByteRange> Present(uint64_t begin, uint64_t end) override {
    std::vector<ByteRange> ranges;
    end = std::min(end, size_);
    while (begin < end) {
      const off_t data = lseek(fd_, static_cast<off_t>(begin), SEEK_DATA);
      if (data < 0) {
        if (errno == ENXIO) break;       // a hole up to the end of the file
        ranges.push_back({begin, end});  // a file system that knows no holes
        break;
      }
      const uint64_t from = std::max(begin, static_cast<uint64_t>(data));
      if (from >= end) break;
      const off_t hole = lseek(fd_, static_cast<off_t>(from), SEEK_HOLE);
      // A hole where there was data a moment ago: the file is being changed. Nothing is lost by
      // reading on.
      const uint64_t to = hole < 0 || static_cast<uint64_t>(hole) <= from
                              ? end
                              : std::min(end, static_cast<uint64_t>(hole));
      ranges.push_back({from, to});
      begin = to;
    }
    return ranges;
  }

  std::string error() const override { return error_ == 0 ? "" : std::strerror(error_); }

 private:
  const int fd_;
  const uint64_t size_, disk_bytes_;
  int error_ = 0;
};

}  // namespace

std::unique_ptr<Source> MemorySource(absl::Span<const uint8_t> bytes) {
  return std::make_unique<BytesInMemory>(bytes);
}

absl::StatusOr<std::unique_ptr<Source>> OpenFile(const std::string& path) {
  // Not blocking, so that a named pipe is refused instead of waited for.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be opened"));
  struct stat status;
  if (fstat(fd, &status) != 0) {
    const int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot be looked at"));
  }
  if (!S_ISREG(status.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat(path, ": is not a file"));
  }
  return std::make_unique<OpenedFile>(fd, status);
}

}  // namespace heapecho::reader

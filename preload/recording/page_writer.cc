// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/page_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "preload/base/syscalls.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint64_t kMillisecond = 1000000;
constexpr uint64_t kSliceNs = kMillisecond / 2;
constexpr uint64_t kSlowNs = 50 * kMillisecond;
constexpr uint64_t kQuickNs = 5 * kMillisecond;
// Callers' share of the time on the clock, and how long the next part may be put off for it.
constexpr uint64_t kClockPerSlice = 100;
constexpr uint64_t kMostRestNs = 100 * kMillisecond;
// How long one who was stopped in the middle, or never returns, keeps others from going on.
constexpr uint64_t kLeaseNs = 60000 * kMillisecond;
constexpr uint32_t kMostAtOnce = 32;
constexpr uint32_t kLeastAtOnce = 4;
constexpr uint32_t kMostBetween = 7;  // pages that did not change
// Where a program does not expect a descriptor that it did not open: what it opens itself gets the
// lowest number.
constexpr int kHighDescriptor = 255;

uint64_t Now() { return ClockNs(CLOCK_MONOTONIC); }

int ErrnoOf(long result) { return Failed(result) ? static_cast<int>(-result) : 0; }

// Not the file's fault; it is tried again.
bool IsPassing(int error) { return error == EINTR || error == EAGAIN || error == EBADF; }

class SignalsWait {
 public:
  SignalsWait() {
    constexpr uint64_t kAll = ~uint64_t{0};
    changed_ =
        !Failed(Syscall(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &kAll, &before_, sizeof before_));
  }
  ~SignalsWait() {
    if (changed_)
      Syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &before_, nullptr, sizeof before_);
  }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

 private:
  uint64_t before_ = 0;
  bool changed_;
};

}  // namespace

bool PageWriter::Attach(char* memory, size_t bytes, size_t tables, uint64_t* complete_to, int fd) {
  struct stat status;
  if (Failed(Syscall(SYS_fstat, fd, &status))) return false;
  device_ = status.st_dev;
  inode_ = status.st_ino;
  pages_ = static_cast<uint32_t>(bytes / base::kPageSize);
  table_pages_ = static_cast<uint32_t>(tables / base::kPageSize);
  complete_to_ = complete_to;
  for (uint32_t word = 0; word <= pages_ / kPagesInAWord; ++word) changed_[word].store(0, kRelaxed);
  due_ns_.store(0, kRelaxed);
  pause_ns_.store(kShortestPauseNs, kRelaxed);
  longest_ns_.store(0, kRelaxed);
  in_flight_.store(0, kRelaxed);
  descriptor_.store(0, kRelaxed);
  overwrites_.store(0, kRelaxed);
  directly_.store(0, kRelaxed);
  round_ns_.store(0, kRelaxed);
  took_ns_.store(0, kRelaxed);
  next_round_ns_.store(0, kRelaxed);
  next_.store(0, kRelaxed);
  follow_.store(0, kRelaxed);
  had_part_.store(true, kRelaxed);
  has_followed_.store(true, kRelaxed);
  at_once_.store(kMostAtOnce, kRelaxed);
  slowest_ns_.store(0, kRelaxed);
  memory_ = memory;
  return true;
}

void PageWriter::Detach() {
  memory_ = nullptr;
  const int fd = descriptor_.exchange(0, kRelaxed) - 1;
  struct stat status;
  if (fd >= 0 && !Failed(Syscall(SYS_fstat, fd, &status)) && status.st_dev == device_ &&
      status.st_ino == inode_) {
    Syscall(SYS_close, fd);
  }
}

void PageWriter::MarkPages(uint32_t first, uint32_t count) {
  for (uint32_t page = first; page < first + count && page < pages_; ++page) {
    // Pairs with the one in Claim: whoever takes the bit away sees what was stored before it was
    // set.
    changed_[page / kPagesInAWord].fetch_or(uint64_t{1} << page % kPagesInAWord,
                                            std::memory_order_release);
  }
}

void PageWriter::Mark(const void* address, size_t bytes) {
  const auto at = static_cast<size_t>(static_cast<const char*>(address) - memory_);
  const auto first = static_cast<uint32_t>(at / base::kPageSize);
  MarkPages(first, static_cast<uint32_t>((at + bytes - 1) / base::kPageSize) - first + 1);
}

bool PageWriter::IsChanged(const void* address, size_t bytes) const {
  const auto at = static_cast<size_t>(static_cast<const char*>(address) - memory_);
  for (size_t page = at / base::kPageSize; page <= (at + bytes - 1) / base::kPageSize; ++page) {
    if (changed_[page / kPagesInAWord].load(std::memory_order_acquire) >> page % kPagesInAWord & 1)
      return true;
  }
  return false;
}

// Changed pages at or behind `from` and before `end` that lie side by side, or nearly, at most so
// many. They count as unchanged from here on.
PageWriter::Run PageWriter::Claim(uint32_t from, uint32_t end_page, uint32_t most) {
  for (uint32_t word = from / kPagesInAWord; word <= end_page / kPagesInAWord; ++word) {
    uint64_t bits = changed_[word].load(kRelaxed);
    if (word == from / kPagesInAWord) bits &= ~uint64_t{0} << from % kPagesInAWord;
    if (word == end_page / kPagesInAWord) bits &= (uint64_t{1} << end_page % kPagesInAWord) - 1;
    if (bits == 0) continue;
    const auto first = static_cast<uint32_t>(__builtin_ctzll(bits));
    uint32_t end = first;  // in the word
    for (uint32_t next = first; next < kPagesInAWord && next - end <= kMostBetween;) {
      if ((bits >> next & 1) == 0) {
        ++next;
        continue;
      }
      const bool apart = next > end;
      if (next + 1 - first > most || (apart && word * kPagesInAWord + next >= table_pages_)) break;
      end = ++next;
    }
    const uint32_t count = end - first;
    const Run run = {.first = word * kPagesInAWord + first, .count = count};
    // Announced before they are taken: WriteEverything looks in the other order.
    in_flight_.store((uint64_t{run.first} + 1) << 32 | run.count, std::memory_order_seq_cst);
    changed_[word].fetch_and(~((~uint64_t{0} >> (kPagesInAWord - count)) << first),
                             std::memory_order_seq_cst);
    return run;
  }
  return {.first = end_page, .count = 0};
}

int PageWriter::Write(int fd, Run run, bool* interrupted) {
  return Write(fd, run, memory_ + size_t{run.first} * base::kPageSize, interrupted);
}

int PageWriter::Write(int fd, Run run, const char* bytes, bool* interrupted) {
  const size_t begin = size_t{run.first} * base::kPageSize;
  const size_t end = begin + size_t{run.count} * base::kPageSize;
  for (size_t at = begin; at < end;) {
    const long written = Syscall(SYS_pwrite64, fd, bytes + (at - begin), end - at, at);
    if (!Failed(written) && written > 0) {  // if not all, the next call says why
      at += static_cast<size_t>(written);
      continue;
    }
    MarkPages(run.first, run.count);
    Overwritten();  // perhaps behind where somebody else goes on
    const int error = written == 0 ? EIO : ErrnoOf(written);
    if (!IsPassing(error)) return error;
    *interrupted = true;
    return 0;
  }
  return 0;
}

// From page `*next` on, which becomes where to go on: `end` when all before it was seen.
int PageWriter::WriteUntil(int fd, uint64_t deadline_ns, uint32_t end, uint32_t* next) {
  bool interrupted = false;
  for (uint64_t before = Now(); before < deadline_ns && !interrupted;) {
    const Run run = Claim(*next, end, at_once_.load(kRelaxed));
    if (run.count == 0) {
      *next = end;
      break;
    }
    *next = run.first;
    const int error = Write(fd, run, &interrupted);
    in_flight_.store(0, std::memory_order_release);
    if (error != 0) return error;
    if (!interrupted) *next = run.first + run.count;
    const uint64_t now = Now();
    const uint32_t pages = at_once_.load(kRelaxed);
    if (now - before > kSliceNs / 2 && pages > kLeastAtOnce) at_once_.store(pages / 2, kRelaxed);
    if (now - before < kSliceNs / 8 && pages < kMostAtOnce) at_once_.store(pages * 2, kRelaxed);
    before = now;
  }
  return 0;
}

int PageWriter::Open(const char* path) {
  // Beyond it a write would raise a signal in the application.
  rlimit64 limit = {};
  Syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, nullptr, &limit);
  if (limit.rlim_cur < uint64_t{pages_} * base::kPageSize) return -EFBIG;
  const long opened = Syscall(SYS_openat, AT_FDCWD, path,
                              O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
  if (Failed(opened)) return static_cast<int>(opened);
  int fd = static_cast<int>(opened);
  const long high = Syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, kHighDescriptor);
  if (!Failed(high)) {
    Syscall(SYS_close, fd);
    fd = static_cast<int>(high);
  }
  struct stat status;
  const long result = Syscall(SYS_fstat, fd, &status);
  if (Failed(result) || status.st_dev != device_ || status.st_ino != inode_) {
    Syscall(SYS_close, fd);
    return Failed(result) ? static_cast<int>(result) : -ESTALE;
  }
  descriptor_.store(fd + 1, kRelaxed);
  return fd;
}

// NFS says here what became of the writes.
int PageWriter::Close(int fd) {
  descriptor_.store(0, kRelaxed);
  const int error = ErrnoOf(Syscall(SYS_close, fd));
  return IsPassing(error) ? 0 : error;
}

void PageWriter::Took(uint64_t ns) {
  if (ns > longest_ns_.load(kRelaxed)) longest_ns_.store(ns, kRelaxed);
  if (ns > slowest_ns_.load(kRelaxed)) slowest_ns_.store(ns, kRelaxed);
}

void PageWriter::Settle(uint64_t start_ns, uint64_t end_ns, bool finished) {
  const uint64_t took = end_ns - start_ns;
  Took(took);
  uint64_t pause = pause_ns_.load(kRelaxed);
  const uint64_t rest = took * kClockPerSlice;
  uint64_t due = end_ns + (rest < kMostRestNs ? rest : kMostRestNs);
  if (finished) {
    took_ns_.store(end_ns - round_ns_.load(kRelaxed), kRelaxed);
    const uint64_t slowest = slowest_ns_.exchange(0, kRelaxed);
    if (slowest > kSlowNs && pause < kLongestPauseNs) pause *= 2;
    if (slowest < kQuickNs && pause > kShortestPauseNs) pause /= 2;
    pause_ns_.store(pause, kRelaxed);
    next_round_ns_.store(round_ns_.load(kRelaxed) + pause, kRelaxed);
  }
  if (next_.load(kRelaxed) == 0 && has_followed_.load(kRelaxed) &&
      due < next_round_ns_.load(kRelaxed)) {
    due = next_round_ns_.load(kRelaxed);
  }
  due_ns_.store(due,
                std::memory_order_release);  // pairs with WriteDue: the next one goes on from here
}

int PageWriter::WriteDue(const char* path, uint64_t now_ns, bool* finished) {
  *finished = false;
  uint64_t due = due_ns_.load(kRelaxed);
  if (memory_ == nullptr || now_ns < due ||
      !due_ns_.compare_exchange_strong(due, now_ns + kLeaseNs, std::memory_order_acquire)) {
    return 0;
  }
  const SignalsWait signals_wait;
  const uint64_t start = Now();
  if (next_.load(kRelaxed) == 0 && had_part_.load(kRelaxed) &&
      now_ns >= next_round_ns_.load(kRelaxed)) {
    BeginRound(start);
  }
  const int fd = Open(path);
  if (fd < 0) return -fd;
  const int error = WritePart(fd, finished);
  const int closed = Close(fd);
  Settle(start, Now(), *finished);
  return error != 0 ? error : closed;
}

void PageWriter::BeginRound(uint64_t now_ns) {
  round_ns_.store(now_ns, kRelaxed);
  next_.store(1, kRelaxed);
  round_directly_.store(directly_.load(kRelaxed), kRelaxed);
  // What it says is there now is in the file when the round ends; what comes meanwhile may not be.
  memcpy(first_page_, memory_, sizeof first_page_);
}

int PageWriter::WritePart(int fd, bool* finished) {
  // Opening may take as long as a part where it asks another process or machine: a part is of
  // writing.
  const uint64_t deadline = Now() + kSliceNs;
  uint32_t next = next_.load(kRelaxed);
  const bool in_round = next != 0;
  if (in_round) {
    if (const int error = WriteUntil(fd, deadline, table_pages_, &next)) return error;
    next_.store(next, kRelaxed);
    if (next != table_pages_) return 0;
    has_followed_.store(false, kRelaxed);
  }
  bool completed = false;
  if (const int error = Follow(fd, deadline, &completed)) return error;
  had_part_.store(!in_round || has_followed_.load(kRelaxed), kRelaxed);
  if (!in_round && !completed) return 0;
  bool interrupted = false;
  if (const int error = WriteCopy(fd, &interrupted)) return error;
  if (!in_round || interrupted) return 0;
  next_.store(0, kRelaxed);
  *finished = true;
  return 0;
}

// `*completed`: the first page has news of it.
int PageWriter::Follow(int fd, uint64_t deadline_ns, bool* completed) {
  uint32_t next = follow_.load(kRelaxed);
  if (next == 0) {
    next = table_pages_;
    follow_ns_.store(Now(), kRelaxed);
    follow_overwrites_.store(overwrites_.load(kRelaxed), kRelaxed);
  }
  const int error = WriteUntil(fd, deadline_ns, pages_, &next);
  follow_.store(next != pages_ ? next : 0, kRelaxed);
  if (error != 0 || next != pages_) return error;
  const uint64_t from = follow_ns_.load(kRelaxed);
  has_followed_.store(from > round_ns_.load(kRelaxed), kRelaxed);
  if (follow_overwrites_.load(kRelaxed) != overwrites_.load(kRelaxed)) return 0;
  __atomic_store_n(complete_to_, from, __ATOMIC_RELAXED);
  memcpy(first_page_ + (reinterpret_cast<char*>(complete_to_) - memory_), &from, sizeof from);
  *completed = has_followed_.load(kRelaxed);
  return 0;
}

// The first page as it was, unless a thread that writes everything has written a younger one, which
// may be the process's last word. A thread that is about to is told by writing that again.
int PageWriter::WriteCopy(int fd, bool* interrupted) {
  const Run first = {.first = 0, .count = 1};
  const uint32_t before = round_directly_.load(kRelaxed);
  if (directly_.load(std::memory_order_seq_cst) != before) return 0;
  const int error = Write(fd, first, first_page_, interrupted);
  if (error != 0 || directly_.load(std::memory_order_seq_cst) == before) return error;
  return Write(fd, first, interrupted);
}

int PageWriter::WriteEverything(int fd, uint64_t deadline_ns) {
  const uint64_t start = Now();
  const uint32_t overwrites = overwrites_.load(kRelaxed);
  uint32_t next = 1;
  int error = WriteUntil(fd, deadline_ns, pages_, &next);
  bool interrupted = false;
  // Another thread may have announced it and then be gone with the process, or be about to write.
  const uint64_t other = in_flight_.load(std::memory_order_seq_cst);
  if (error == 0 && other != 0) {
    error = Write(
        fd,
        {.first = static_cast<uint32_t>(other >> 32) - 1, .count = static_cast<uint32_t>(other)},
        &interrupted);
  }
  if (error != 0) return error;
  if (next == pages_ && !interrupted && overwrites == overwrites_.load(kRelaxed))
    __atomic_store_n(complete_to_, start, __ATOMIC_RELAXED);
  directly_.fetch_add(1, std::memory_order_seq_cst);  // pairs with WriteCopy
  return Write(fd, {.first = 0, .count = 1}, &interrupted);
}

int PageWriter::WriteAllTo(int fd) { return WriteEverything(fd, UINT64_MAX); }

int PageWriter::WriteAll(const char* path, uint64_t at_most_ns) {
  if (memory_ == nullptr) return 0;
  const SignalsWait signals_wait;
  const uint64_t start = Now();
  const int fd = Open(path);
  if (fd < 0) return -fd;
  const int error = WriteEverything(fd, start + at_most_ns);
  const int closed = Close(fd);
  Took(Now() - start);
  return error != 0 ? error : closed;
}

int PageWriter::WriteFirst(const char* path) {
  if (memory_ == nullptr) return 0;
  const SignalsWait signals_wait;
  const int fd = Open(path);
  if (fd < 0) return -fd;
  bool interrupted = false;
  directly_.fetch_add(1, std::memory_order_seq_cst);  // pairs with WriteCopy
  const int error = Write(fd, {.first = 0, .count = 1}, &interrupted);
  const int closed = Close(fd);
  return error != 0 ? error : closed;
}

}  // namespace heapecho::recording

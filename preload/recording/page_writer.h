// SPDX-License-Identifier: Apache-2.0
// A recording kept by writing: private memory, of which the pages that changed go to the file by
// pwrite now and then. For file systems where a store to a mapping can raise SIGBUS or hang.
//
// Promises:
//  - No thread: whoever comes along when it is time writes, for half a millisecond (a single write
//    may take longer), and the next one goes on a hundred times as long after, at most a tenth of a
//    second. From one round to the next it is a second at least; a write of more than 50 ms
//    doubles that, up to 16 s, and quick ones bring it back.
//  - A round is of the tables, which are in proportion to what the program is. What was stored into
//    them before Changed() returned is in the file after the next round, whoever stores meanwhile.
//    A page that changes while it is written is written again. The first page comes last in a
//    round, and as it was when the round began, so that what it says is there, is.
//  - The events follow, with what is left of the time: page by page to their end and again from the
//    first, at least one part between two rounds, and for one round they follow once. A word of the
//    first page says up to which moment they are complete; it moves on when they have been gone
//    through and none was overwritten meanwhile, so that the file has them as they were.
//  - No descriptor is kept: the file is opened by its path, and what is found there must be the
//    file that Attach() was given. So a program that closes or counts its descriptors meets none of
//    ours, and nothing else is ever written to. Alternatives: a descriptor with a high number,
//    which such programs meet; a second mapping of the file, which only the privileged can open
//    again by way of /proc. A process that changed its user or root may find the path barred: that
//    is an error like others.
//  - Signals wait while something is written: a fork from a handler would return into it, in the
//    child, with the parent's file open.
//
// Why events are no part of a round: a loop that is sampled 170,000 times a second makes 20 MB of
// them a second. A round that had to have them as well took 7 s on btrfs, and behind FUSE did not
// end in 12 s, so that a kill would have cost all of that; without them it is the second that is
// promised. Events first, or in turn with the tables, would only share out the same time.
//
// What has changed is a bit a page, set after the store: some 10 ns. Alternatives: the kernel's
// soft-dirty bits make it write-protect the whole program; comparing needs a second copy, and its
// time grows with the file and not with what happened.
//
// Thread-safe and signal-safe but for Attach() and Detach(), which one thread calls at a time;
// nobody waits for another. Two who write at once do no harm. Zero-initialised: not attached,
// Changed() does nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/base/memory.h"
#include "preload/recording/layout.h"

namespace heapecho::recording {

class PageWriter {
 public:
  static constexpr uint64_t kShortestPauseNs = 1000000000;
  static constexpr uint64_t kLongestPauseNs = 16 * kShortestPauseNs;

  // `bytes` of `memory`, whole pages, are what the file of `fd` is to hold; nothing has changed
  // yet. The first `tables` of them are what a round writes; there memory always is what the file
  // should say, so that pages between two that changed may be written with them: one large write
  // costs less than two small ones. What lies behind follows, and `complete_to`, a word in the
  // first page, is set to the time up to which all of it is in the file. False: it cannot be said
  // which file that is.
  bool Attach(char* memory, size_t bytes, size_t tables, uint64_t* complete_to, int fd);

  // In a forked child, before anything else: the memory and the file are the parent's.
  void Detach();

  bool attached() const { return memory_ != nullptr; }

  // These bytes of the memory have been stored to.
  void Changed(const void* address, size_t bytes) {
    if (memory_ != nullptr) Mark(address, bytes);
  }

  // Some of what follows is overwritten, whether it was written or not: said before it is stored
  // to.
  void Overwritten() { overwrites_.fetch_add(1, std::memory_order_relaxed); }

  // Whether any of these bytes is still to be written.
  bool IsChanged(const void* address, size_t bytes) const;

  bool IsDue(uint64_t now_ns) const { return now_ns >= due_ns_.load(std::memory_order_relaxed); }

  // Each of these returns 0 or an errno; after an errno nothing more is to be expected of the file.

  // Goes on writing if it is time. `*finished`: with this a round of the tables has ended.
  int WriteDue(const char* path, uint64_t now_ns, bool* finished);
  // Writes all that has changed, also what another thread is about to write. After `at_most_ns`
  // what is left is left out, but for the first page.
  int WriteAll(const char* path, uint64_t at_most_ns);
  // The same, into a descriptor of the caller's.
  int WriteAllTo(int fd);
  // The first page alone, whatever happened to others.
  int WriteFirst(const char* path);

  // How much may be lost: the pause, and the time that a round takes, as the last one did.
  uint64_t apart_ns() const { return pause_ns() + took_ns_.load(std::memory_order_relaxed); }
  // How long rounds are put off.
  uint64_t pause_ns() const { return pause_ns_.load(std::memory_order_relaxed); }
  // The longest that a caller was held up.
  uint64_t longest_ns() const { return longest_ns_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kPages = kLargestBudget / base::kPageSize;
  static constexpr uint32_t kPagesInAWord = 64;

  struct Run {
    uint32_t first, count;  // pages; none: count 0
  };

  void Mark(const void* address, size_t bytes);
  void MarkPages(uint32_t first, uint32_t count);
  Run Claim(uint32_t from, uint32_t end, uint32_t most);
  int Write(int fd, Run run, bool* interrupted);
  int Write(int fd, Run run, const char* bytes, bool* interrupted);
  int WriteUntil(int fd, uint64_t deadline_ns, uint32_t end, uint32_t* next);
  int WriteEverything(int fd, uint64_t deadline_ns);
  void BeginRound(uint64_t now_ns);
  int WritePart(int fd, bool* finished);
  int Follow(int fd, uint64_t deadline_ns, bool* completed);
  int WriteCopy(int fd, bool* interrupted);
  int Open(const char* path);
  int Close(int fd);
  void Took(uint64_t ns);
  void Settle(uint64_t start_ns, uint64_t end_ns, bool finished);

  char* memory_ = nullptr;
  uint32_t pages_ = 0;
  uint32_t table_pages_ = 0;
  uint64_t* complete_to_ = nullptr;
  uint64_t device_ = 0, inode_ = 0;
  std::atomic<uint64_t> due_ns_;  // when somebody may write; whoever moves it on does
  std::atomic<uint64_t> pause_ns_;
  std::atomic<uint64_t> longest_ns_;
  std::atomic<uint64_t>
      in_flight_;  // (first page + 1) << 32 | pages: claimed, and perhaps not written yet
  std::atomic<int>
      descriptor_;  // open now, + 1; what a fork by another thread leaves open in the child
  std::atomic<uint32_t> overwrites_;
  std::atomic<uint32_t> directly_;  // times the first page was written as it is, not as it was
  // Of whoever moved due_ns_ on.
  std::atomic<uint64_t> round_ns_;           // when this round began, or the last one
  std::atomic<uint64_t> took_ns_;            // the last one
  std::atomic<uint64_t> next_round_ns_;      // when the next one may
  std::atomic<uint32_t> next_;               // where it goes on; 0: none has begun
  std::atomic<uint32_t> round_directly_;     // directly_ when it began
  std::atomic<uint64_t> follow_ns_;          // when what follows was begun to be gone through
  std::atomic<uint32_t> follow_;             // where that goes on; 0: at the beginning
  std::atomic<uint32_t> follow_overwrites_;  // overwrites_ when it began
  std::atomic<bool> had_part_;               // what follows, since the last round
  std::atomic<bool> has_followed_;           // it was gone through since the last round
  std::atomic<uint32_t> at_once_;     // pages for one write: fewer where writes are slow
  std::atomic<uint64_t> slowest_ns_;  // of this round's
  char first_page_[base::kPageSize] = {};  // as it was when this round began
  std::atomic<uint64_t> changed_[kPages / kPagesInAWord + 1];
};

}  // namespace heapecho::recording

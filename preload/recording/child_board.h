// SPDX-License-Identifier: Apache-2.0
// What a forked process tells the one that it came from when it cannot be recorded itself: a page
// that both share.
//
// After a user drop or a chroot a child can reach neither the directory nor its parent's file, and
// may not touch the parent's mapping of it. So it writes why onto this page, and the parent, when
// it comes along, into its own recording.
//
// Lock-free, signal-safe; nobody waits. A process that is killed while it writes takes its place
// with it; where no place is left only the number of those that had something to say goes on
// counting. The page is written by forked copies of this library alone; what is on it is text and
// checked like it. Zero-initialised: not there, nothing is told or heard.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace heapecho::recording {

class ChildBoard {
 public:
  static constexpr size_t kTextRoom = 112;

  // In the library's constructor. False: the kernel has no page; then nothing is told.
  bool Initialize();

  // In a forked child, before it tells anything: whoever this process was is now its parent.
  void AfterFork();

  // This process cannot be recorded: `text`, of which what does not fit is cut.
  void Tell(const char* text);

  // Whether a child of this process has told something that was not heard.
  bool HasNews() const {
    return page_ != nullptr &&
           page_->told.load(std::memory_order_relaxed) != heard_.load(std::memory_order_relaxed);
  }

  // Calls `hear(text)` for each that was told by a child of this process, once.
  template <typename Hear>
  void ForEachNew(Hear hear);

 private:
  struct Place {
    std::atomic<uint64_t> to;  // whose child wrote it; 0: free; kBeingWritten
    char text[kTextRoom];
  };
  static constexpr size_t kPlaces = 34;
  static constexpr uint64_t kBeingWritten = 1;
  struct Page {
    std::atomic<uint32_t> told;
    Place places[kPlaces];
  };
  static_assert(sizeof(Page) <= 4096);

  Page* page_ = nullptr;
  uint64_t self_ = 0;    // random, from 2
  uint64_t parent_ = 0;  // 0: this process is no child of one that had the page
  std::atomic<uint32_t> heard_ = 0;
};

template <typename Hear>
void ChildBoard::ForEachNew(Hear hear) {
  if (page_ == nullptr) return;
  heard_.store(page_->told.load(std::memory_order_acquire),
               std::memory_order_relaxed);  // pairs with Tell
  for (Place& place : page_->places) {
    uint64_t to = self_;
    if (!place.to.compare_exchange_strong(to, kBeingWritten, std::memory_order_acquire)) continue;
    char text[kTextRoom];
    for (size_t i = 0; i < kTextRoom; ++i) {
      const char c = __atomic_load_n(&place.text[i], __ATOMIC_RELAXED);
      text[i] = c == '\0' || c >= ' ' ? c : '?';
    }
    text[kTextRoom - 1] = '\0';
    place.to.store(0, std::memory_order_release);
    hear(static_cast<const char*>(text));
  }
}

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// Which process is this? Asked first by every slow path: a forked child must never touch its parent's
// recording, and a vforked one runs in its parent's memory and must not touch anything.
#pragma once

#include <atomic>
#include <cstdint>

namespace heapecho::recording {

enum class ProcessState {
  kOurs,      // go on
  kForked,    // a new process; exactly one caller is told, and must call Claim() when it is ready
  kForeign,   // a vforked child in our memory, or a forked one that another thread is setting up: forward
};

// A page that the kernel wipes at fork (MADV_WIPEONFORK, Linux 4.14). Zero-initialised: not begun, foreign.
class ProcessPage {
 public:
  // In the constructor. False: the page could not be had or the kernel is too old; every process is foreign.
  bool Initialize();

  ProcessState Ask();

  // By the thread that was told kForked, and in Initialize(): from now on this is our process.
  void Claim();

 private:
  struct Page {
    std::atomic<uint32_t> state;  // 0: wiped
    uint32_t pid;
  };
  Page* page_ = nullptr;
};

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// What a program that is going to be killed holds at every moment, in a shared file that outlives
// it. The reader is tests/e2e/mirror.py, which knows this layout too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mirror {

inline constexpr uint64_t kThreads = 4;
inline constexpr uint64_t kSlots = 1024;  // blocks that one thread can hold

enum class Operation : uint64_t { kNone = 0, kAllocate = 1, kFree = 2, kReallocate = 3 };

// One block a thread holds; address 0: none. `site` indexes the program's table of site names.
struct Slot {
  std::atomic<uint64_t> address, size, site;
};

// Written by its thread alone. `operation` is not kNone from before the call until the slot says
// its outcome: a reader that finds it so knows that the slot is as before, and the call anywhere in
// between.
struct alignas(64) Thread {
  std::atomic<uint64_t> operation, slot, new_size, new_site;
  std::atomic<uint64_t> operations;  // completed
  std::atomic<uint64_t> allocated_bytes;
  uint64_t reserved[2];
  Slot slots[kSlots];
};

struct Mirror {
  Thread threads[kThreads];
};
static_assert(sizeof(Slot) == 24 && offsetof(Thread, slots) == 64 &&
                  sizeof(Thread) == 64 + 24 * kSlots,
              "mirror.py knows this layout");

}  // namespace mirror

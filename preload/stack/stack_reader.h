// SPDX-License-Identifier: Apache-2.0
// Reads words of a stack that may be corrupt: each page is proven readable before it is touched.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/memory.h"
#include "preload/base/memory_probe.h"
#include "preload/stack/native_unwinder.h"

namespace heapecho::stack {

// One walk's view of memory. Starts from the pages that the thread has proven before, if the stack
// pointer lies in them: another stack's pages (a coroutine's) may be gone by now. Not thread-safe.
class StackReader {
 public:
  StackReader(const StackBounds& bounds, uintptr_t sp) {
    const uint64_t word = __atomic_load_n(&bounds.pages, __ATOMIC_RELAXED);
    low_ = (word >> kCountBits) * base::kPageSize;
    high_ = low_ + (word & kMostPages) * base::kPageSize;
    if (sp < low_ || sp >= high_) low_ = high_ = 0;
  }

  // One store: a signal handler of this thread may walk between any two.
  void Keep(StackBounds* bounds) const {
    uint64_t pages = (high_ - low_) / base::kPageSize;
    if (pages > kMostPages) pages = kMostPages;
    __atomic_store_n(&bounds->pages, low_ / base::kPageSize << kCountBits | pages,
                     __ATOMIC_RELAXED);
  }

  // The word at `address` of the stack; false when it cannot be read or is no stack slot
  // (unaligned).
  bool Read(uintptr_t address, uintptr_t* value) {
    if (__builtin_expect(address % sizeof(uintptr_t) != 0, 0)) return false;
    if (__builtin_expect(address < low_ || address >= high_, 0) && !Extend(address)) return false;
    *value = Load(address);
    return true;
  }

  // A word that need not be on the stack: proven each time, remembered never.
  bool ReadElsewhere(uintptr_t address, uintptr_t* value) {
    if (address % sizeof(uintptr_t) != 0) return false;
    if ((address < low_ || address >= high_) && !base::Readable(address)) return false;
    *value = Load(address);
    return true;
  }

 private:
  static constexpr unsigned kCountBits = 28;
  static constexpr uint64_t kMostPages = (uint64_t{1} << kCountBits) - 1;
  static constexpr uintptr_t kMostGap = 16 * base::kPageSize;  // a frame with large arrays

  __attribute__((no_sanitize("address"))) static uintptr_t Load(uintptr_t address) {
    return *reinterpret_cast<const volatile uintptr_t*>(address);
  }

  // Proves the page of `address`; joins it to the known ones if it follows them closely, else
  // begins anew.
  __attribute__((noinline)) bool Extend(uintptr_t address) {
    const uintptr_t page = address & ~(base::kPageSize - 1);
    if (low_ != high_ && page >= high_ && page - high_ < kMostGap) {
      for (; high_ <= page; high_ += base::kPageSize) {
        if (!base::Readable(high_)) return false;
      }
      return true;
    }
    if (!base::Readable(page)) return false;
    low_ = page;
    high_ = page + base::kPageSize;
    return true;
  }

  uintptr_t low_, high_;
};

}  // namespace heapecho::stack

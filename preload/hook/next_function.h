// SPDX-License-Identifier: Apache-2.0
// One function that ours stands in front of: looked up in the constructor, or before it at the
// first call.
#pragma once

#include <atomic>

#include "preload/base/symbols.h"

namespace heapecho::hook {

// Thread-safe and signal-safe, as base::FindNext is: call get() in the constructor, so that a
// signal handler or a vforked child finds it found. Null: the libc is older than the function.
template <typename Function>
class NextFunction {
 public:
  explicit constexpr NextFunction(const char* name) : name_(name) {}
  Function get() {
    Function function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Function>(base::FindNext(name_).address);
      function_.store(function, std::memory_order_relaxed);
    }
    return function;
  }

 private:
  const char* name_;
  std::atomic<Function> function_ = nullptr;
};

}  // namespace heapecho::hook

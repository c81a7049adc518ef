// SPDX-License-Identifier: Apache-2.0
// CPython's own allocator, pymalloc: puts functions of ours in front of its object and memory domains, and of what it
// takes its arenas from, where that changes nothing for the program.
//
// pymalloc serves requests of up to 512 bytes from arenas that it maps, and hands on larger ones to malloc; its free
// tells the two apart by address. So a small request that is handed on as one of 513 bytes comes from malloc, is freed
// to malloc, and is counted by the interpreter (sys.getallocatedblocks) as what it is: a block of pymalloc's that it
// did not serve itself. That is how a sampled small object gets an address that free() knows, and why free needs
// no function of ours: functions can be put in front at any moment, whatever has been allocated before.
//
// The interpreter is asked through PyMem_GetAllocator and PyMem_SetAllocator, whose contract is the C API's. Left
// alone, and said: whatever is not pymalloc (PYTHONMALLOC=malloc or mimalloc, a build without it), pymalloc behind
// debug functions, another tool's functions that are not in front of ours.
//
// Hook() and Settle() are not for two threads at once; the rest is thread-safe. Zero-initialised: no interpreter.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/base/symbols.h"

namespace heapecho::pools {

// The largest request, in bytes, that pymalloc serves itself; the same in 3.8 to 3.15.
inline constexpr size_t kLargestSmallObject = 512;
inline constexpr size_t kSmallObjectUnit = 16;  // it rounds them up to multiples of this

// PyMemAllocatorEx of the C API.
struct PythonAllocator {
  void* context;
  void* (*malloc)(void* context, size_t size);
  void* (*calloc)(void* context, size_t count, size_t size);
  void* (*realloc)(void* context, void* block, size_t size);
  void (*free)(void* context, void* block);

  bool operator==(const PythonAllocator&) const = default;
};

// PyObjectArenaAllocator of the C API.
struct PythonArenas {
  void* context;
  void* (*allocate)(void* context, size_t size);
  void (*free)(void* context, void* arena, size_t size);
};

class PythonDomain {
 public:
  // Puts `ours` and `our_arenas` in front of the interpreter in `file`, if what it has is pymalloc, and says in the
  // verdict what came of it. `ours.free` is ignored: the interpreter's stays. Before the interpreter starts, or by a
  // thread that has the GIL.
  void Hook(const base::ExportingFile& file, const PythonAllocator& ours, const PythonArenas& our_arenas);

  // The interpreter runs, and this thread has the GIL: has an environment variable or an option replaced our
  // functions since Hook()? Puts them back if what is there now is pymalloc as it was. Once; then settled().
  void Settle(const base::ExportingFile& file, const PythonAllocator& ours, const PythonArenas& our_arenas);
  bool settled() const { return settled_.load(std::memory_order_relaxed); }

  // The interpreter is one that is not to be touched.
  void LeaveAlone(const char* reason);

  // "hooked", or "not hooked: " and why; null: nothing was decided yet.
  const char* verdict() const;

  // pymalloc's own functions, which ours call. Valid once ours have been put in front.
  const PythonAllocator& next() const { return next_; }
  const PythonArenas& next_arenas() const { return next_arenas_; }

 private:
  struct Functions;  // of the interpreter's
  enum State : uint32_t { kUnknown = 0, kHooked, kLeftAlone };

  static bool Find(const base::ExportingFile& file, Functions* functions);
  static const char* WhyNotPymalloc(const PythonAllocator& raw, const PythonAllocator& memory,
                                    const PythonAllocator& object);
  void PutInFront(const Functions& functions, const PythonAllocator& ours, const PythonArenas& our_arenas);

  PythonAllocator next_ = {};
  PythonArenas next_arenas_ = {};
  bool counts_arenas_ = false;
  std::atomic<uint32_t> state_;
  std::atomic<bool> settled_;
  char verdict_[96] = {};
};

}  // namespace heapecho::pools

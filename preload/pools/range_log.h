// SPDX-License-Identifier: Apache-2.0
// The log of changes to the address space: every thread appends, one at a time takes out, and a
// thread that is stopped anywhere in between holds up nobody.
//
// What a call takes away (munmap, mremap, a shrinking break) is opened before the call and closed
// when it has returned; what takes nothing away that another thread could be given is appended
// afterwards. Changes come out by their tickets: an unmapping's is drawn when it is opened, so that
// it stands before the mapping that another thread is given in its place; all others' when they are
// appended or closed. A call that is still open is passed by. That can only matter to a mapping
// within what it takes away; such a mapping with a later ticket proves that the kernel has taken
// it, and Overtaken() says so to whoever takes out.
//
// Lock-free and signal-safe; nothing waits. Open() and Append() refuse when all places are taken:
// the caller counts, and /proc/self/maps makes up for it. The first free place is taken, so memory
// is resident for as many as were taken at once. A call that is never closed (a thread that jumped
// out of it) keeps its place until PassOver(); who closes it after that is told. Zero-initialised:
// refuses.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/pools/range_table.h"

namespace heapecho::pools {

struct RangeChange {
  enum class Kind : uint8_t {
    kNothing,   // the call failed
    kMap,       // `range`
    kUnmap,     // `start` to `end`
    kMove,      // what was at `start` to `end` is `range` now
    kAdopt,     // what code between `start` and `end` mapped is reserve of range.domain
    kGiveBack,  // the pages of `start` to `end`
  };
  Kind kind;
  uintptr_t start, end;
  Range range;
};

class RangeLog {
 public:
  static constexpr uint32_t kPlaces = 4096;
  static constexpr uint64_t kNoPlace = UINT64_MAX;

  bool Initialize();

  // Before a call that may take away what is at `start` to `end`; kNoPlace when all are taken.
  uint64_t Open(uintptr_t start, uintptr_t end);
  // It has returned: kNothing, kUnmap of all that, or kMove to `range`. False: it was passed over
  // meanwhile, nothing was written.
  bool Close(uint64_t place, RangeChange::Kind kind, const Range& range);
  // A change that was not opened; false when all places are taken.
  bool Append(const RangeChange& change);
  // Whether Take() would give one.
  bool HasNext() const;

  // --- By one thread at a time.
  // A call that took pages away: what it took, and what stood at its start when it was overtaken.
  struct Call {
    uintptr_t start, end;
    bool overtaken;
    Departed was;
  };
  struct Taken {
    RangeChange change;
    uint64_t ticket;
    Call call;  // of one that was opened; else zero
  };
  // The next change; false when there is none.
  bool Take(Taken* taken);
  // Of a mapping of `start` to `end` that was taken out: a call with pages there that was opened
  // before `ticket` and has not come out, and is overtaken from here on; nullptr: none. What is
  // noted in `was` comes out with it. To be asked again until there is none.
  Call* Overtaken(uintptr_t start, uintptr_t end, uint64_t ticket);
  // Passes over the calls that were open when this was called last and are still: how many.
  uint32_t PassOver();

  // In a forked child, where nobody closes what the parent's threads opened: passes over all that.
  // How many there were.
  uint32_t AfterFork();
  // In a forked child whose parent was taking out at that moment: forgets everything.
  void Clear();

 private:
  static constexpr uint32_t kWords = kPlaces / 64;
  // `word` is ticket << 1, and 1 while the call is open; 0: free.
  struct Place {
    std::atomic<uint64_t> word;
    uint64_t ticket;  // by which it comes out
    RangeChange change;
    Call call;
    uint32_t next;  // number of the next in its list; 0: none
  };
  // A place's number is its index plus one.
  Place& At(uint32_t number) const { return places_[number - 1]; }
  uint64_t DrawTicket() { return tickets_.fetch_add(1, std::memory_order_acq_rel) + 1; }
  uint32_t TakePlace();
  void FreePlace(uint32_t number);
  bool Push(uint32_t number, uint32_t epoch);
  uint32_t Epoch() const {
    return static_cast<uint32_t>(head_.load(std::memory_order_relaxed) >> 32);
  }
  void Unclaim(uint32_t number);
  void Absorb();
  uint32_t PassOverBefore(uint64_t ticket);

  Place* places_ = nullptr;
  std::atomic<uint64_t> taken_[kWords];    // a bit for each place
  std::atomic<uint64_t> claimed_[kWords];  // those that Overtaken() looks at
  std::atomic<uint32_t> used_words_;       // of both; places beyond were never taken
  std::atomic<uint64_t> tickets_;
  // Epoch << 32 | number of the place that was pushed last. Clear() begins a new epoch: who was
  // about to push in the one before finds it gone.
  std::atomic<uint64_t> head_;
  uint32_t pending_ = 0;  // taken off head_, by ticket
  uint64_t looked_ = 0;   // the last ticket when PassOver() was called last
};

}  // namespace heapecho::pools

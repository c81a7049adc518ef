// SPDX-License-Identifier: Apache-2.0
// The mapped ranges of the address space, in order, split and joined as the program maps and
// unmaps.
//
// A range that the program mapped itself (kRangeSeen) may stand in the totals of a stack: with
// `counted` of its bytes, each of which weighs `weight`, and with `objects`. What is taken out of
// the table is taken off those totals in whole units (`Taken`), so that what was added has been
// taken back exactly when the last piece is gone, however a range was cut: a part takes its share
// of `objects`, rounded down, and the last piece what is left.
//
// One thread at a time; nothing here waits or allocates, but Initialize(). A slot is a range's for
// its life, so a mirror writes each change once. Zero-initialised: no room, everything is refused.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::pools {

// What stands behind the pages. As in a recording.
enum class RangeKind : uint8_t {
  kNone = 0,
  kAnonymous = 1,  // private, without a file
  kShared = 2,  // of no file on a disk: anonymous and shared, or a file of tmpfs or of memfd_create
  kFile = 3,    // a file; a library's zeroed data behind it included
  kStack = 4,   // a thread's, its guard pages included
  kBrkHeap = 5,
  kOwn = 6,     // this library's
  kKernel = 7,  // vdso and the like
};

enum RangeFlags : uint16_t {
  kRangeSeen = 1,      // the program's call was seen; else /proc/self/maps told
  kRangeReserve = 2,   // raw material of `domain`, which counts what it makes of it
  kRangeMeasured = 4,  // a file, or address space that is used page by page: `counted` had pages
                       // when it was looked at
};

inline constexpr uint8_t kNobodysDomain = 0xff;
inline constexpr uint32_t kWeightOne = 256;  // fixed point

struct Range {
  uintptr_t start;
  uint64_t length;   // bytes, whole pages
  uint64_t time_ns;  // when it was mapped; of one that was not seen, found
  uintptr_t caller;  // who mapped it: a code address; 0: unknown
  uint64_t counted;  // bytes
  uint64_t size;     // of the call that mapped it, for the variance
  uint32_t stack;    // 0 and no weight: in nobody's totals
  uint32_t weight;   // of a byte, fixed point; 0: in nobody's totals
  uint32_t objects;  // fixed point
  RangeKind kind;
  uint8_t domain;     // whose, or kNobodysDomain
  uint16_t flags;     // RangeFlags
  uint32_t thread;    // kernel thread id; 0: unknown
  uint32_t interval;  // bytes, of the sample; 1: it was certain to be taken
  uintptr_t end() const { return start + length; }
};
static_assert(sizeof(Range) == 72);

// Of a range that has left its place, for where it arrives. Zero: it was not seen.
struct Departed {
  uint64_t counted;
  RangeKind kind;
  uint8_t domain;
  uint16_t flags;
};

class RangeTable {
 public:
  static constexpr uint32_t kMostRanges = 1 << 14;

  struct Sink {
    // `bytes` (of `range` as it was before) and `objects`, fixed point, are in its stack's totals
    // no longer. Only for those with a weight.
    void (*taken)(const Range& range, uint64_t bytes, uint32_t objects);
    // What the slot says has changed; Look() tells to what.
    void (*written)(uint32_t slot);
  };

  // Room for `capacity` ranges; false when the kernel refuses.
  bool Initialize(uint32_t capacity, const Sink& sink);

  // Puts a range in, in place of whatever was there. False when there is no room: it is not in and
  // in no totals (Taken is told), and what was there is out. `range.length` is rounded up to pages.
  bool Insert(const Range& range);

  // Takes whatever lies within out. False when a piece of what it was to leave found no room.
  bool Remove(uintptr_t start, uintptr_t end);

  // A range that moves: it leaves `start` to `end`, and `was` says what stood at `start`; then it
  // arrives as `range`, with the attributes of that but with kind, domain and flags of what left,
  // if it was seen; as Insert() otherwise. Of what `range` has counted that is taken off again
  // which does not count there: raw material, or pages that a measured range has not got. False as
  // of Remove() and Insert().
  bool Depart(uintptr_t start, uintptr_t end, Departed* was);
  bool Arrive(const Departed& was, const Range& range);

  // Every range whose caller lies within `start` and `end`, private and anonymous, is reserve of
  // `domain`.
  void Adopt(uintptr_t start, uintptr_t end, uint8_t domain);

  // The pages between are the kernel's again, the range stays: what is left of it is used page by
  // page.
  void GiveBack(uintptr_t start, uintptr_t end);

  // What of the range at `start` with `length` had pages when it was looked at, if it is there
  // still and is measured. How much more that is than before, of `range` as it is now; less is told
  // to Taken, and 0 here.
  uint64_t Measure(uintptr_t start, uint64_t length, uint64_t counted, uint64_t now_ns,
                   Range* range);

  // --- What /proc/self/maps says, in its order: BeginSweep, Sweep for each line, EndSweep when all
  // were read. What is there and not in the table comes in as `range` says, which has no weight;
  // what is in the table and not there goes. Ranges that were seen keep what they say.
  void BeginSweep() { swept_ = 0; }
  void Sweep(const Range& range);
  void EndSweep();

  // The first range that ends behind `address`; false when there is none.
  bool Next(uintptr_t address, Range* range) const;

  // The range in a slot; false: none.
  bool Look(uint32_t slot, Range* range) const;

  uint32_t capacity() const { return capacity_; }
  uint32_t size() const { return size_; }
  uint32_t used() const { return fresh_; }  // slots at or beyond it never held one

  // Forgets everything, without telling Taken: for the child of a fork that came while another
  // thread changed it.
  void Clear();

 private:
  // Position in order_ of the first range that ends behind `address`.
  uint32_t Find(uintptr_t address) const;
  Range& At(uint32_t position) { return slots_[order_[position]]; }
  const Range& At(uint32_t position) const { return slots_[order_[position]]; }
  bool InsertAt(uint32_t position, const Range& range);
  void EraseAt(uint32_t position);
  void Take(const Range& range, uint64_t bytes, uint32_t objects);
  void TakeOut(Range* range);
  void Written(uint32_t position);
  bool JoinsLeft(uint32_t position, const Range& range) const;

  Range* slots_ = nullptr;     // length 0: free
  uint16_t* order_ = nullptr;  // slots by address
  uint16_t* free_ = nullptr;   // slots that are free again
  uint32_t free_count_ = 0;
  uint32_t fresh_ = 0;  // slots never used begin here
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
  uintptr_t swept_ = 0;
  Sink sink_ = {};
};

}  // namespace heapecho::pools

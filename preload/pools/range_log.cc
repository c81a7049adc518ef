// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_log.h"

#include "preload/base/memory.h"

namespace heapecho::pools {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

constexpr uint64_t Bit(uint32_t number) { return uint64_t{1} << (number - 1) % 64; }
constexpr uint32_t WordOf(uint32_t number) { return (number - 1) / 64; }

constexpr uint64_t Closed(uint64_t ticket) { return ticket << 1; }
constexpr uint64_t Opened(uint64_t ticket) { return ticket << 1 | 1; }

}  // namespace

bool RangeLog::Initialize() {
  places_ = static_cast<Place*>(base::MapPrivate(kPlaces * sizeof(Place), "heapecho range log"));
  return places_ != nullptr;
}

uint32_t RangeLog::TakePlace() {
  if (places_ == nullptr) return 0;
  for (uint32_t word = 0; word < kWords; ++word) {
    uint64_t bits = taken_[word].load(kRelaxed);
    while (~bits != 0) {
      const uint64_t bit = ~bits & (bits + 1);  // the lowest that is zero
      // Pairs with the release in FreePlace().
      if (!taken_[word].compare_exchange_weak(bits, bits | bit, kAcquire, kRelaxed)) continue;
      uint32_t used = used_words_.load(kRelaxed);
      while (used <= word &&
             !used_words_.compare_exchange_weak(used, word + 1, kRelease, kRelaxed)) {
      }
      return word * 64 + static_cast<uint32_t>(__builtin_ctzll(bit)) + 1;
    }
  }
  return 0;
}

void RangeLog::FreePlace(uint32_t number) {
  At(number).word.store(0, kRelaxed);
  taken_[WordOf(number)].fetch_and(~Bit(number), kRelease);
}

uint64_t RangeLog::Open(uintptr_t start, uintptr_t end) {
  const uint32_t number = TakePlace();
  if (number == 0) return kNoPlace;
  const uint64_t ticket = DrawTicket();
  Place& place = At(number);
  place.ticket = ticket;
  place.change.start = start;
  place.change.end = end;
  place.call = {.start = start, .end = end, .overtaken = false, .was = {}};
  place.word.store(Opened(ticket), kRelaxed);
  claimed_[WordOf(number)].fetch_or(Bit(number), kRelease);  // pairs with Overtaken()
  static_assert(kPlaces < 1 << 16);
  return ticket << 16 | number;
}

bool RangeLog::Close(uint64_t place, RangeChange::Kind kind, const Range& range) {
  const uint32_t epoch = Epoch();
  const auto number = static_cast<uint32_t>(place & 0xffff);
  Place& at = At(number);
  uint64_t word = Opened(place >> 16);
  if (!at.word.compare_exchange_strong(word, Closed(place >> 16), kAcquire, kRelaxed)) return false;
  at.change.kind = kind;
  at.change.range = range;
  if (kind == RangeChange::Kind::kMove) at.ticket = DrawTicket();
  return Push(number, epoch);
}

bool RangeLog::Append(const RangeChange& change) {
  const uint32_t epoch = Epoch();
  const uint32_t number = TakePlace();
  if (number == 0) return false;
  Place& at = At(number);
  at.change = change;
  at.call = {};
  at.ticket = DrawTicket();
  at.word.store(Closed(at.ticket), kRelaxed);
  return Push(number, epoch);
}

bool RangeLog::Push(uint32_t number, uint32_t epoch) {
  uint64_t head = head_.load(kRelaxed);
  do {
    if (head >> 32 != epoch) return false;
    At(number).next = static_cast<uint32_t>(head);
    // Pairs with the acquire in Absorb().
  } while (!head_.compare_exchange_weak(head, uint64_t{epoch} << 32 | number, kRelease, kRelaxed));
  return true;
}

bool RangeLog::HasNext() const {
  return static_cast<uint32_t>(head_.load(std::memory_order_seq_cst)) != 0;
}

void RangeLog::Unclaim(uint32_t number) {
  claimed_[WordOf(number)].fetch_and(~Bit(number), kRelaxed);
}

// What was pushed, into the empty list of what is pending. It comes the last one first, nearly by
// ticket, so each finds its place near the front.
void RangeLog::Absorb() {
  uint64_t head = head_.load(kRelaxed);
  while (!head_.compare_exchange_weak(head, head & ~uint64_t{UINT32_MAX}, kAcquire, kRelaxed)) {
  }
  for (auto number = static_cast<uint32_t>(head); number != 0;) {
    Place& place = At(number);
    const uint32_t next = place.next;
    // An unmapping stands before every mapping that could overtake it from here on. What has moved
    // away stands where it arrived.
    if (place.change.kind != RangeChange::Kind::kMove) Unclaim(number);
    uint32_t* link = &pending_;
    while (*link != 0 && At(*link).ticket < place.ticket) link = &At(*link).next;
    place.next = *link;
    *link = number;
    number = next;
  }
}

bool RangeLog::Take(Taken* taken) {
  if (pending_ == 0) Absorb();
  if (pending_ == 0) return false;
  const uint32_t number = pending_;
  Place& place = At(number);
  *taken = {.change = place.change, .ticket = place.ticket, .call = place.call};
  pending_ = place.next;
  Unclaim(number);
  FreePlace(number);
  return true;
}

RangeLog::Call* RangeLog::Overtaken(uintptr_t start, uintptr_t end, uint64_t ticket) {
  const uint32_t used = used_words_.load(kAcquire);
  for (uint32_t word = 0; word < used; ++word) {
    // Pairs with the release in Open(), which the kernel's own order put before the mapping.
    for (uint64_t bits = claimed_[word].load(kAcquire); bits != 0; bits &= bits - 1) {
      Place& place = At(word * 64 + static_cast<uint32_t>(__builtin_ctzll(bits)) + 1);
      Call& call = place.call;
      if (call.overtaken || call.start >= end || start >= call.end ||
          place.word.load(kRelaxed) >> 1 > ticket) {
        continue;
      }
      call.overtaken = true;
      return &call;
    }
  }
  return nullptr;
}

uint32_t RangeLog::PassOverBefore(uint64_t ticket) {
  uint32_t passed = 0;
  const uint32_t used = used_words_.load(kAcquire);
  for (uint32_t word = 0; word < used; ++word) {
    for (uint64_t bits = claimed_[word].load(kAcquire); bits != 0; bits &= bits - 1) {
      const uint32_t number = word * 64 + static_cast<uint32_t>(__builtin_ctzll(bits)) + 1;
      uint64_t open = At(number).word.load(kRelaxed);
      if ((open & 1) == 0 || open >> 1 > ticket ||
          !At(number).word.compare_exchange_strong(open, 0, kRelaxed)) {
        continue;
      }
      Unclaim(number);
      FreePlace(number);
      ++passed;
    }
  }
  return passed;
}

uint32_t RangeLog::PassOver() {
  const uint64_t before = looked_;
  looked_ = tickets_.load(kRelaxed);
  return PassOverBefore(before);
}

uint32_t RangeLog::AfterFork() { return PassOverBefore(UINT64_MAX); }

void RangeLog::Clear() {
  head_.store(((head_.load(kRelaxed) >> 32) + 1) << 32, kRelaxed);
  pending_ = 0;
  for (uint32_t word = 0; word < kWords; ++word) {
    claimed_[word].store(0, kRelaxed);
    for (uint64_t bits = taken_[word].load(kRelaxed); bits != 0; bits &= bits - 1)
      At(word * 64 + static_cast<uint32_t>(__builtin_ctzll(bits)) + 1).word.store(0, kRelaxed);
    taken_[word].store(0, kRelaxed);
  }
}

}  // namespace heapecho::pools

// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/range_log.h"

#include "preload/base/memory.h"

namespace heapecho::pools {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

}  // namespace

bool RangeLog::Initialize() {
  places_ = static_cast<Place*>(base::MapPrivate(kPlaces * sizeof(Place), "heapecho range log"));
  if (places_ == nullptr) return false;
  for (uint64_t place = 0; place < kPlaces; ++place)
    At(place).word.store(Word(place, kFree), kRelaxed);
  return true;
}

uint64_t RangeLog::Reserve() {
  if (places_ == nullptr) return kNoPlace;
  // By whoever sees that the place has gone, so that nobody depends on the thread that has it.
  const auto move_on = [this](uint64_t from) {
    tail_.compare_exchange_strong(from, from + 1, kRelease, kRelaxed);
  };
  for (;;) {
    const uint64_t place = tail_.load(kAcquire);
    uint64_t word = Word(place, kFree);
    // Pairs with the release in Take() and Void(): what they read of the place has been read.
    if (At(place).word.compare_exchange_strong(word, Word(place, kReserved), kAcquire, kAcquire)) {
      move_on(place);
      return place;
    }
    if (word >> 2 < place) return kNoPlace;  // of the round before, not taken out yet
    move_on(place);
  }
}

bool RangeLog::Fill(uint64_t place, const RangeChange& change) {
  Place& at = At(place);
  uint64_t word = Word(place, kReserved);
  if (!at.word.compare_exchange_strong(word, Word(place, kFilling), kAcquire, kRelaxed))
    return false;
  at.change = change;
  at.word.store(Word(place, kFilled), kRelease);  // pairs with the acquire in Take()
  return true;
}

bool RangeLog::HasNext() const {
  if (places_ == nullptr) return false;
  const uint64_t head = head_.load(std::memory_order_seq_cst);
  return At(head).word.load(std::memory_order_seq_cst) == Word(head, kFilled);
}

bool RangeLog::Take(RangeChange* change) {
  if (places_ == nullptr) return false;
  const uint64_t head = head_.load(kRelaxed);
  Place& at = At(head);
  if (at.word.load(kAcquire) != Word(head, kFilled)) return false;
  *change = at.change;
  head_.store(head + 1, kRelaxed);
  at.word.store(Word(head + kPlaces, kFree), kRelease);
  return true;
}

uint64_t RangeLog::Stuck() const {
  if (places_ == nullptr) return kNoPlace;
  const uint64_t head = head_.load(kRelaxed);
  return At(head).word.load(kRelaxed) == Word(head, kReserved) ? head : kNoPlace;
}

bool RangeLog::Void() {
  if (places_ == nullptr) return false;
  const uint64_t head = head_.load(kRelaxed);
  uint64_t word = Word(head, kReserved);
  if (!At(head).word.compare_exchange_strong(word, Word(head + kPlaces, kFree), kRelease, kRelaxed))
    return false;
  head_.store(head + 1, kRelaxed);
  return true;
}

bool RangeLog::AfterFork() {
  if (places_ == nullptr) return true;
  bool whole = true;
  const uint64_t head = head_.load(kRelaxed);
  RangeChange nothing = {};
  for (uint64_t place = head; place < head + kPlaces; ++place) {
    Place& at = At(place);
    const uint64_t word = at.word.load(kRelaxed);
    if (word == Word(place, kReserved) || word == Word(place, kFilling)) {
      at.change = nothing;
      at.word.store(Word(place, kFilled), kRelaxed);
      whole = false;
    }
  }
  return whole;
}

}  // namespace heapecho::pools

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/history.h"

#include <string.h>

#include "preload/base/memory.h"

namespace heapecho::recording {
namespace {

constexpr uint64_t kSecond = 1000000000;
// What an age asks for: of so many slots one for a share of itself, and at most for a share of the life.
constexpr uint64_t kSlotsPerSpanOfAnAge = 32;
constexpr double kSpansOfALifePerSlot = 0.4;
// The growing stacks are those that grew since a moment that moves on by doubling, this much at first.
constexpr uint64_t kFirstBaselineNs = 60 * kSecond;

template <typename T>
T Load(const char* record, size_t offset) {
  T word;
  __atomic_load(reinterpret_cast<const T*>(record + offset), &word, __ATOMIC_RELAXED);
  return word;
}

// Live bytes of a stack; what was caught between a free and its allocation on another thread is nothing.
uint64_t LiveOf(const char* record) {
  const auto live = Load<uint64_t>(record, offsetof(wire::StackRecord, live_bytes));
  return live >> 63 != 0 ? 0 : live;
}

uint64_t Larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

void StoreWords(char* to, const void* from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 8) {
    uint64_t word;
    memcpy(&word, static_cast<const char*>(from) + at, 8);
    __atomic_store_n(reinterpret_cast<uint64_t*>(to + at), word, __ATOMIC_RELAXED);
  }
}

void StoreCheck(char* slot, size_t offset, uint64_t check) {
  // Before and after it nothing of the record moves across: the kernel has the stores in this order at a kill.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(reinterpret_cast<uint64_t*>(slot + offset), check, __ATOMIC_RELEASE);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

}  // namespace

// Into the place that is not valid now.
void History::StoreCover(char* slot, Entry& entry) {
  entry.cover ^= 1;
  char* const target = slot + entry.cover * sizeof(wire::HistoryCover);
  wire::HistoryCover cover = {.from_ns = entry.from_ns,
                              .merged = entry.merged,
                              .rss_most = entry.rss_most,
                              .cgroup_most = entry.cgroup_most,
                              .live_most = entry.live_most,
                              .check = 0};
  constexpr size_t kCheck = offsetof(wire::HistoryCover, check);
  StoreCheck(target, kCheck, 0);
  StoreWords(target, &cover, kCheck);
  StoreCheck(target, kCheck, wire::CheckOf(cover, entry.time_ns));
}

bool History::Initialize(const Layout& layout) {
  slots_ = layout.history_slots;
  stacks_ = layout.stacks;
  listed_ = static_cast<uint32_t>((layout.history_slot_bytes - sizeof(wire::HistoryPoint)) /
                                  sizeof(wire::HistoryStack));
  const size_t entries = base::RoundUp(slots_ * sizeof(Entry), 64);
  const size_t baseline = base::RoundUp(stacks_ * sizeof(uint64_t), 64);
  char* memory = static_cast<char*>(
      base::MapPrivate(entries + baseline + sizeof(Draft) + listed_ * sizeof(wire::HistoryStack),
                       "heapecho history"));
  if (memory == nullptr) return false;
  entries_ = reinterpret_cast<Entry*>(memory);
  baseline_ = reinterpret_cast<uint64_t*>(memory + entries);
  draft_ = reinterpret_cast<Draft*>(memory + entries + baseline);
  return true;
}

// Eight buckets for each power of two.
uint32_t History::BucketOf(uint64_t value) {
  if (value < 8) return static_cast<uint32_t>(value);
  const uint32_t power = 63 - static_cast<uint32_t>(__builtin_clzll(value));
  return (power - 2) * 8 + static_cast<uint32_t>(value >> (power - 3) & 7);
}

uint64_t History::GrowthOf(const char* record, uint32_t stack, uint64_t live) const {
  // Its number may have been another stack's then.
  const bool is_younger =
      Load<uint64_t>(record, offsetof(wire::StackRecord, first_seen_ns)) > baseline_ns_;
  const uint64_t before = is_younger ? 0 : baseline_[stack];
  return live > before ? live - before : 0;
}

void History::KeepBaseline(const char* stacks, uint32_t count, uint64_t now) {
  for (uint32_t stack = 0; stack < count; ++stack) {
    baseline_[stack] = LiveOf(stacks + size_t{stack} * sizeof(wire::StackRecord));
  }
  for (uint32_t stack = count; stack < stacks_ && baseline_[stack] != 0; ++stack) baseline_[stack] = 0;
  baseline_ns_ = now;
}

void History::ListStacks(const char* stacks, uint32_t count) {
  wire::HistoryPoint& point = draft_->point;
  memset(draft_->by_live, 0, sizeof draft_->by_live);
  memset(draft_->by_growth, 0, sizeof draft_->by_growth);
  memset(point.domain_live, 0, sizeof point.domain_live);
  for (uint32_t stack = 0; stack < count; ++stack) {
    const char* const record = stacks + size_t{stack} * sizeof(wire::StackRecord);
    const uint64_t live = LiveOf(record);
    if (live == 0) continue;
    const auto domain = Load<uint8_t>(record, offsetof(wire::StackRecord, domain));
    if (domain < 4) point.domain_live[domain] += live;
    ++draft_->by_live[BucketOf(live)];
    ++draft_->by_growth[BucketOf(GrowthOf(record, stack, live))];
  }
  // Those of a half that lie in a bucket above the cut, and of the bucket at the cut the first ones.
  struct Cut {
    uint32_t bucket = kBuckets, room = 0;
  };
  const auto cut_of = [](const uint32_t* buckets, uint32_t room) {
    Cut cut{.bucket = kBuckets, .room = room};
    while (cut.bucket > 1 && cut.room >= buckets[cut.bucket - 1]) cut.room -= buckets[--cut.bucket];
    return cut;
  };
  Cut growth_cut = cut_of(draft_->by_growth, listed_ / 2);
  const uint32_t left = growth_cut.bucket == 1 ? growth_cut.room : 0;  // nothing more has grown
  Cut live_cut = cut_of(draft_->by_live, listed_ - listed_ / 2 + left);
  const auto passes = [](Cut& cut, uint64_t value) {
    const uint32_t bucket = BucketOf(value);
    if (value == 0 || bucket + 1 < cut.bucket) return false;
    if (bucket >= cut.bucket) return true;
    if (cut.room == 0) return false;
    --cut.room;
    return true;
  };
  point.stack_count = 0;
  point.unlisted_live = 0;
  point.unlisted_most = 0;
  for (uint32_t stack = 0; stack < count; ++stack) {
    const char* const record = stacks + size_t{stack} * sizeof(wire::StackRecord);
    const uint64_t live = LiveOf(record);
    if (live == 0) continue;
    const bool is_listed = passes(live_cut, live) || passes(growth_cut, GrowthOf(record, stack, live));
    if (!is_listed || point.stack_count == listed_) {
      point.unlisted_live += live;
      point.unlisted_most = Larger(point.unlisted_most, live);
      continue;
    }
    const auto variance = Load<double>(record, offsetof(wire::StackRecord, live_variance));
    draft_->stacks[point.stack_count++] = {
        .stack = stack, .live_variance = static_cast<float>(variance), .live_bytes = live};
  }
  point.growth_from_ns = baseline_ns_;
}

// The earlier one of the pair whose span is the shortest against what its age asks for.
uint32_t History::PairToMerge() const {
  const uint64_t now = entries_[points_ - 1].time_ns;
  const uint64_t spans_in_an_age = slots_ / kSlotsPerSpanOfAnAge + 1;
  const auto spans_in_a_life = static_cast<uint64_t>(slots_ * kSpansOfALifePerSlot) + 1;
  const uint64_t most = (now - first_ns_) / spans_in_a_life + 1;
  uint32_t best = 0;
  double least = 0;
  for (uint32_t i = 0; i + 1 < points_; ++i) {
    const uint64_t asked = (now - entries_[i + 1].time_ns) / spans_in_an_age + kSecond;
    const uint64_t span = entries_[i + 1].time_ns - entries_[i].from_ns;
    const double ratio = static_cast<double>(span) / static_cast<double>(asked < most ? asked : most);
    if (i == 0 || ratio < least) {
      best = i;
      least = ratio;
    }
  }
  return best;
}

// A slot for a new point, in which nothing is valid; slots_ where there is none.
uint32_t History::FreeSlot(Recording& recording) {
  if (points_ < slots_) return points_;
  const uint32_t earlier = PairToMerge();
  const Entry gone = entries_[earlier];
  Entry& later = entries_[earlier + 1];
  later.from_ns = gone.from_ns;
  later.merged += gone.merged;
  later.rss_most = Larger(later.rss_most, gone.rss_most);
  later.cgroup_most = Larger(later.cgroup_most, gone.cgroup_most);
  later.live_most = Larger(later.live_most, gone.live_most);
  char* const target = recording.HistorySlot(later.slot);
  char* const freed = recording.HistorySlot(gone.slot);
  if (target == nullptr || freed == nullptr) return slots_;
  StoreCover(target, later);
  StoreCheck(freed, offsetof(wire::HistoryPoint, check), 0);
  recording.HistoryWritten(later.slot);
  recording.HistoryWritten(gone.slot);
  memmove(&entries_[earlier], &entries_[earlier + 1], (points_ - earlier - 1) * sizeof(Entry));
  --points_;
  return gone.slot;
}

void History::Add(Recording& recording, const void* stacks, uint32_t count) {
  if (!recording.active() || slots_ < 2) return;
  const char* const records = static_cast<const char*>(stacks);
  if (count > stacks_) count = stacks_;
  wire::HistoryPoint& point = draft_->point;
  const uint64_t now = point.time_ns;
  if (points_ == 0) first_ns_ = now;
  // Points are in the order of their times: a clock that two threads read may say otherwise.
  if (points_ != 0 && now <= entries_[points_ - 1].time_ns) return;
  if (baseline_ns_ == 0 || now - baseline_ns_ > baseline_ns_ - first_ns_ + kFirstBaselineNs) {
    KeepBaseline(records, count, now);
  }
  ListStacks(records, count);
  const uint32_t slot = FreeSlot(recording);
  char* const target = recording.HistorySlot(slot);
  if (target == nullptr) return;
  Entry& entry = entries_[points_++] = {
      .from_ns = now,
      .time_ns = now,
      .rss_most = point.rss_anon + point.rss_file + point.rss_shmem,
      .cgroup_most = point.cgroup_current,
      .live_most = point.live_bytes,
      .slot = slot,
      .merged = 1,
      .cover = 1};
  point.check = wire::HistoryCheck(point, draft_->stacks, slot);
  constexpr size_t kCheck = offsetof(wire::HistoryPoint, check);
  constexpr size_t kMoment = offsetof(wire::HistoryPoint, time_ns);
  StoreCheck(target, kCheck, 0);
  StoreWords(target + kMoment, reinterpret_cast<const char*>(&point) + kMoment, kCheck - kMoment);
  StoreWords(target + sizeof point, draft_->stacks, point.stack_count * sizeof(wire::HistoryStack));
  StoreCover(target, entry);
  StoreCheck(target, kCheck, point.check);
  recording.HistoryWritten(slot);
}

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// The history as it is written, read back by the analyzer's reader.
#include "preload/recording/history.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "analyzer/reader/reader.h"
#include "gtest/gtest.h"
#include "preload/recording/recording.h"
#include "preload/wire/format.h"

namespace heapecho::recording {
namespace {

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kOne = wire::kFixedPointOne;

class HistoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/historyXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    uint8_t id[16];
    if (recording_ != nullptr) recording_->Abandon(id);
    std::filesystem::remove_all(directory_);
  }

  void Begin(uint64_t budget, uint32_t stacks) {
    recording_ = std::make_unique<Recording>();
    const Trouble trouble = recording_->Begin({.directory = directory_.c_str(),
                                               .budget = budget,
                                               .keep = uint64_t{1} << 40,
                                               .map = true,
                                               .interval_configured = 0,
                                               .process_start_ns = 1,
                                               .forked_at_ns = 0,
                                               .parent_id = nullptr,
                                               .facts = {}});
    if (trouble.what != nullptr) GTEST_SKIP() << "no recording here: " << trouble.what;
    ASSERT_TRUE(history_.Initialize(recording_->layout()));
    stacks_.resize(stacks);
    for (uint32_t stack = 0; stack < stacks; ++stack) {
      stacks_[stack].first_seen_ns = 1;
      recording_->MirrorStack(stack, &stacks_[stack]);
    }
  }

  void Hold(uint32_t stack, uint64_t bytes) { stacks_[stack].live_bytes = bytes * kOne; }

  void Add(uint64_t time_ns, uint64_t rss = 0) {
    wire::HistoryPoint& draft = history_.draft();
    draft.time_ns = time_ns;
    draft.realtime_ns = draft.boottime_ns = time_ns;
    draft.rss_anon = rss;
    draft.live_bytes = 0;
    for (const wire::StackRecord& stack : stacks_) draft.live_bytes += stack.live_bytes;
    history_.Add(*recording_, stacks_.data(), static_cast<uint32_t>(stacks_.size()));
  }

  std::string File() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory_))
      if (entry.path().extension() == ".heapecho") return entry.path();
    return "";
  }

  model::Recording Read() const {
    const auto recording = reader::ReadRecording(File());
    EXPECT_TRUE(recording.ok()) << recording.status();
    EXPECT_EQ(recording->CheckValid(), "");
    return *recording;
  }

  std::string directory_;
  std::unique_ptr<Recording> recording_;
  History history_;
  std::vector<wire::StackRecord> stacks_;
};

TEST_F(HistoryTest, IsReadBackAsItWasWritten) {
  Begin(4 << 20, 3);
  Hold(1, 1000);
  Hold(2, 500);
  stacks_[1].live_variance = 2500;
  stacks_[2].domain = static_cast<uint8_t>(wire::Domain::kPython);
  wire::HistoryPoint& draft = history_.draft();
  draft = {};
  draft.cgroup_current = 7000;
  draft.cgroup_limit = 9000;
  draft.cgroup_oom_kills = 2;
  draft.threads = 5;
  draft.flags = wire::kHistoryRssKnown | wire::kHistoryCgroupKnown;
  draft.rss_file = 4000;
  draft.swap = 300;
  draft.samples = 11;
  draft.dropped = 1;
  draft.own_ns = 12;
  draft.cpu_ns = 13;
  draft.interval = 14;
  draft.allocated_bytes = 9 * kOne;
  draft.freed_bytes = 8 * kOne;
  Add(5 * kSecond, 20000);
  const model::Recording recording = Read();
  EXPECT_TRUE(recording.warnings.empty());
  ASSERT_EQ(recording.history.size(), 1u);
  const model::HistoryPoint& point = recording.history[0];
  EXPECT_EQ(point.time_ns, 5 * kSecond);
  EXPECT_EQ(point.from_ns, 5 * kSecond);
  EXPECT_EQ(point.merged, 1u);
  EXPECT_TRUE(point.rss_known && point.cgroup_known);
  EXPECT_EQ(point.rss_anon, 20000u);
  EXPECT_EQ(point.rss(), 24000u);
  EXPECT_EQ(point.rss_most, 24000u);
  EXPECT_EQ(point.swap, 300u);
  EXPECT_EQ(point.cgroup_current, 7000u);
  EXPECT_EQ(point.cgroup_limit, 9000u);
  EXPECT_EQ(point.cgroup_oom_kills, 2u);
  EXPECT_EQ(point.threads, 5u);
  EXPECT_EQ(point.samples, 11u);
  EXPECT_EQ(point.dropped, 1u);
  EXPECT_EQ(point.own_ns, 12u);
  EXPECT_EQ(point.cpu_ns, 13u);
  EXPECT_EQ(point.interval, 14u);
  EXPECT_EQ(point.allocated, 9);
  EXPECT_EQ(point.freed, 8);
  EXPECT_EQ(point.live.bytes, 1500);
  EXPECT_EQ(point.domain_live[0], 1000);
  EXPECT_EQ(point.domain_live[1], 500);
  ASSERT_EQ(point.stacks.size(), 2u);
  EXPECT_EQ(point.stacks[0].stack.value, 1u);
  EXPECT_EQ(point.stacks[0].bytes, 1000);
  EXPECT_EQ(point.stacks[0].bytes_variance, 2500);
  EXPECT_EQ(point.stacks[1].bytes, 500);
  EXPECT_EQ(point.unlisted_live, 0);
}

TEST_F(HistoryTest, ListsThoseThatHoldMostAndThoseThatGrewMost) {
  constexpr uint32_t kStacks = 1200;
  Begin(4 << 20, kStacks);  // room for 64 stacks a point
  for (uint32_t stack = 1; stack < kStacks; ++stack) Hold(stack, 1000000 + stack);
  Add(1 * kSecond);
  // Ten large ones, and ten that grew though they are small.
  for (uint32_t stack = 100; stack < 110; ++stack) Hold(stack, 50000000);
  for (uint32_t stack = 200; stack < 210; ++stack) Hold(stack, 3000000);
  for (uint32_t stack = 300; stack < 310; ++stack) Hold(stack, 0);
  Add(2 * kSecond);
  const model::HistoryPoint point = Read().history.back();
  // Half of the room is for growth; what that leaves is for the largest, the grown ones among them.
  EXPECT_EQ(point.stacks.size(), 32u + (32u - 20u));
  const auto is_listed = [&](uint32_t stack) {
    return std::any_of(point.stacks.begin(), point.stacks.end(),
                       [&](const auto& held) { return held.stack.value == stack; });
  };
  double listed = 0;
  for (const auto& held : point.stacks) listed += held.bytes;
  for (uint32_t i = 0; i < 10; ++i) EXPECT_TRUE(is_listed(100 + i) && is_listed(200 + i)) << i;
  EXPECT_FALSE(is_listed(300));
  // The rest is what it says, to the byte.
  EXPECT_EQ(listed + point.unlisted_live, point.live.bytes);
  double most = 0;
  for (uint32_t stack = 1; stack < kStacks; ++stack)
    if (!is_listed(stack)) most = std::max(most, static_cast<double>(stacks_[stack].live_bytes / kOne));
  EXPECT_EQ(point.unlisted_most, most);
}

TEST_F(HistoryTest, ASlowLeakIsListedThoughItIsNeverLarge) {
  constexpr uint32_t kStacks = 2000;
  Begin(4 << 20, kStacks);
  std::mt19937 random(1);
  for (uint32_t second = 1; second < 3000; ++second) {
    // All hold a megabyte, more or less, and change all the time; one grows by 100 bytes a second.
    for (uint32_t stack = 2; stack < kStacks; stack += 7) Hold(stack, 1000000 + random() % 20000);
    Hold(1, 1000 + second * 100);
    Add(second * kSecond);
  }
  const model::Recording recording = Read();
  const model::HistoryPoint& point = recording.history.back();
  ASSERT_FALSE(point.stacks.empty());
  EXPECT_EQ(point.stacks.front().stack.value, 1u);
}

TEST_F(HistoryTest, CoversAWeekInItsSlotsAndTheLastMinutesInSeconds) {
  Begin(4 << 20, 2);
  const uint32_t slots = recording_->layout().history_slots;
  constexpr uint64_t kWeek = 7 * 86400;
  uint64_t added = 0;
  for (uint64_t second = 1; second <= kWeek; ++second, ++added) {
    Hold(1, second);
    // One second in each hour has a peak, which must not get lost.
    Add(second * kSecond, second % 3600 == 1800 ? 1000000 + second : 1000);
  }
  const model::Recording recording = Read();
  EXPECT_TRUE(recording.warnings.empty());
  const auto& history = recording.history;
  ASSERT_EQ(history.size(), slots);
  EXPECT_EQ(history.front().from_ns, 1 * kSecond);
  EXPECT_EQ(history.back().time_ns, kWeek * kSecond);
  uint64_t merged = 0, most = 0, longest = 0;
  std::vector<uint64_t> peaks;
  for (size_t i = 0; i < history.size(); ++i) {
    merged += history[i].merged;
    longest = std::max(longest, history[i].time_ns - history[i].from_ns);
    most = std::max(most, history[i].rss_most);
    if (i > 0) { EXPECT_EQ(history[i].from_ns, history[i - 1].time_ns + kSecond); }
    // Each point says what was at its own moment.
    EXPECT_EQ(history[i].live.bytes, static_cast<double>(history[i].time_ns / kSecond));
    EXPECT_GE(history[i].live_most, history[i].live.bytes);
    const uint64_t from = history[i].from_ns / kSecond, to = history[i].time_ns / kSecond;
    if ((to + 1800) / 3600 != (from + 1799) / 3600) { EXPECT_GT(history[i].rss_most, 1000000u) << i; }
  }
  EXPECT_EQ(merged, added);
  EXPECT_EQ(most, 1000000 + (kWeek - 1800));
  // At most twice what an age asks for (history.h).
  EXPECT_LE(longest, 2 * kWeek / (slots * 2 / 5) * kSecond);
  for (const uint64_t age : {10u, 60u, 600u, 3600u}) {
    const auto point = std::find_if(history.begin(), history.end(), [&](const auto& one) {
      return one.time_ns >= (kWeek - age) * kSecond;
    });
    EXPECT_LE(point->time_ns - point->from_ns, (age / 3 + 4) * kSecond) << age;
  }
}

TEST_F(HistoryTest, AClockThatStandsStillOrGoesBackAddsNothing) {
  Begin(4 << 20, 2);
  Add(10 * kSecond);
  Add(10 * kSecond);
  Add(9 * kSecond);
  Add(11 * kSecond);
  const model::Recording recording = Read();
  ASSERT_EQ(recording.history.size(), 2u);
  EXPECT_EQ(recording.history[1].time_ns, 11 * kSecond);
}

TEST_F(HistoryTest, AChildBeginsItsOwn) {
  Begin(4 << 20, 2);
  Add(10 * kSecond);
  history_.Clear();
  EXPECT_EQ(history_.points(), 0u);
  Add(5 * kSecond);  // before the parent's last
  EXPECT_EQ(history_.points(), 1u);
}

TEST_F(HistoryTest, WhatAStackHeldUnderANumberThatIsAnothersNowIsNotItsOwn) {
  Begin(4 << 20, 3);
  Hold(1, 1000);
  Hold(2, 200);
  Add(1 * kSecond);
  stacks_[1].first_seen_ns = 2 * kSecond;  // folded, and its record taken for another one
  recording_->MirrorStack(1, &stacks_[1]);
  const model::HistoryPoint point = Read().history.front();
  ASSERT_EQ(point.stacks.size(), 1u);
  EXPECT_EQ(point.stacks[0].stack.value, 2u);
  EXPECT_EQ(point.unlisted_live, 1000);
}

// A process that adds points as fast as it can is killed at a random instant, many times. Whatever was complete when it
// was killed must be there: counted by the points merged, without a hole.
TEST_F(HistoryTest, AKillBetweenAnyTwoStoresLosesNoPointThatWasThere) {
  Begin(4 << 20, 50);
  for (uint32_t stack = 1; stack < 50; ++stack) Hold(stack, 1000 * stack);
  auto* added = static_cast<std::atomic<uint64_t>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(added, MAP_FAILED);
  const int rounds = getenv("HEAPECHO_TEST_FULL") != nullptr ? 2000 : 100;
  std::mt19937 random(2);
  uint64_t second = 0;
  for (int round = 0; round < rounds; ++round) {
    // Each round goes on where the killed one was: its points are in the file, so this process's must be cleared, and
    // the file with them.
    history_.Clear();
    for (uint32_t slot = 0; slot < recording_->layout().history_slots; ++slot)
      memset(recording_->HistorySlot(slot), 0, recording_->layout().history_slot_bytes);
    added->store(0);
    const uint64_t first = ++second;
    const pid_t child = fork();
    if (child == 0) {
      for (uint64_t at = first;; ++at) {
        Add(at * kSecond, at);
        added->fetch_add(1);
      }
    }
    // Killed after some adds, most of them while slots are merged; the exact instant is the scheduler's.
    const uint64_t target = random() % 2000;
    while (added->load() < target) sched_yield();
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    const uint64_t complete = added->load();
    const model::Recording recording = Read();
    uint64_t merged = 0;
    for (size_t i = 0; i < recording.history.size(); ++i) {
      const model::HistoryPoint& point = recording.history[i];
      merged += point.merged;
      ASSERT_EQ(point.time_ns / kSecond - point.from_ns / kSecond + 1, point.merged) << round;
      ASSERT_EQ(point.rss_most, point.time_ns / kSecond) << round;
      if (i > 0) { ASSERT_EQ(point.from_ns, recording.history[i - 1].time_ns + kSecond) << round; }
    }
    ASSERT_GE(merged, complete) << round;
    ASSERT_LE(merged, complete + 1) << round;
    second += complete + 1;
  }
  munmap(added, 4096);
}

}  // namespace
}  // namespace heapecho::recording

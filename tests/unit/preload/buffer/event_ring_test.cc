// SPDX-License-Identifier: Apache-2.0
#include "preload/buffer/event_ring.h"

#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::buffer {
namespace {

constexpr uint32_t kBlockBytes = 4096;
constexpr size_t kRecords = (kBlockBytes - sizeof(wire::BlockHeader)) / sizeof(wire::EventRecord);

bool AlwaysPresent(void*, size_t, bool) { return true; }
bool NeverPresent(void*, size_t, bool) { return false; }

wire::EventRecord Event(uint64_t number) {
  wire::EventRecord event = {};
  event.time_ns = number;
  event.size = number * 3;
  event.kind = 1;
  return event;
}

// What a reader finds: the numbers of all valid events.
std::multiset<uint64_t> ValidEvents(const std::vector<char>& memory) {
  std::multiset<uint64_t> found;
  for (size_t at = 0; at + kBlockBytes <= memory.size(); at += kBlockBytes) {
    wire::BlockHeader header;
    std::memcpy(&header, &memory[at], sizeof header);
    if (header.sequence == 0) continue;
    EXPECT_EQ(header.check, wire::CheckOf(header, wire::kMagic));
    for (size_t i = 0; i < kRecords; ++i) {
      wire::EventRecord event;
      std::memcpy(&event, &memory[at + sizeof header + i * sizeof event], sizeof event);
      if (event.check != wire::CheckOf(event, wire::EventSeed(header.sequence, i))) continue;
      EXPECT_EQ(event.size, event.time_ns * 3);
      found.insert(event.time_ns);
    }
  }
  return found;
}

TEST(EventRing, HoldsWhatWasWritten) {
  std::vector<char> memory(64 * kBlockBytes);
  auto ring = std::make_unique<EventRing>();
  ring->Attach(memory.data(), memory.size(), kBlockBytes, AlwaysPresent);
  for (uint64_t i = 1; i <= 500; ++i) EXPECT_TRUE(ring->Write(0, Event(i)));
  const auto found = ValidEvents(memory);
  EXPECT_EQ(found.size(), 500u);
  EXPECT_EQ(std::set<uint64_t>(found.begin(), found.end()).size(), 500u);
}

TEST(EventRing, OverwritesTheOldestBlock) {
  std::vector<char> memory(4 * kBlockBytes);
  auto ring = std::make_unique<EventRing>();
  ring->Attach(memory.data(), memory.size(), kBlockBytes, AlwaysPresent);
  constexpr uint64_t kEvents = kRecords * 10;
  for (uint64_t i = 1; i <= kEvents; ++i) EXPECT_TRUE(ring->Write(0, Event(i)));
  const auto found = ValidEvents(memory);
  EXPECT_EQ(found.size(), 4 * kRecords);
  EXPECT_EQ(*found.rbegin(), kEvents);
  EXPECT_EQ(*found.begin(), kEvents - 4 * kRecords + 1);
}

TEST(EventRing, DropsWhenEveryBlockIsAWriters) {
  std::vector<char> memory(2 * kBlockBytes);
  auto ring = std::make_unique<EventRing>();
  ring->Attach(memory.data(), memory.size(), kBlockBytes, AlwaysPresent);
  EXPECT_TRUE(ring->Write(0, Event(1)));
  EXPECT_TRUE(ring->Write(1, Event(2)));
  EXPECT_FALSE(ring->Write(2, Event(3)));
  EXPECT_TRUE(ring->Write(32, Event(4))) << "thread 32 shares with thread 0";
}

TEST(EventRing, WritesNothingWhereMemoryCannotBeMadePresent) {
  std::vector<char> memory(4 * kBlockBytes);
  auto ring = std::make_unique<EventRing>();
  ring->Attach(memory.data(), memory.size(), kBlockBytes, NeverPresent);
  EXPECT_FALSE(ring->Write(0, Event(1)));
  EXPECT_EQ(memory, std::vector<char>(memory.size()));
}

TEST(EventRing, ZeroInitialisedDropsSilently) {
  static constinit EventRing ring;
  EXPECT_FALSE(ring.Write(0, Event(1)));
}

TEST(EventRing, RecognisesARecordThatWasTorn) {
  std::vector<char> memory(2 * kBlockBytes);
  auto ring = std::make_unique<EventRing>();
  ring->Attach(memory.data(), memory.size(), kBlockBytes, AlwaysPresent);
  ring->Write(0, Event(1));
  ring->Write(0, Event(2));
  memory[sizeof(wire::BlockHeader) + 3] ^= 1;
  EXPECT_EQ(ValidEvents(memory), std::multiset<uint64_t>{2});
}

TEST(EventRing, GivesEachFullBlockOnceAndNoneThatIsWrittenTo) {
  std::vector<char> memory(8 * kBlockBytes);
  auto ring = std::make_unique<EventRing>();
  ring->Attach(memory.data(), memory.size(), kBlockBytes, AlwaysPresent);
  std::multiset<size_t> given;
  const auto give = [&](bool takes) {
    given.clear();
    ring->ForEachFullBlock([&](char* block, size_t bytes) {
      EXPECT_EQ(bytes, kBlockBytes);
      given.insert(static_cast<size_t>(block - memory.data()) / kBlockBytes);
      return takes;
    });
    return given;
  };
  EXPECT_TRUE(give(true).empty()) << "nothing was written";
  for (uint64_t i = 1; i <= 2 * kRecords + 1; ++i) EXPECT_TRUE(ring->Write(0, Event(i)));
  EXPECT_EQ(give(false), (std::multiset<size_t>{0, 1})) << "the third is a writer's";
  EXPECT_EQ(give(true), (std::multiset<size_t>{0, 1})) << "again, since it was not taken";
  EXPECT_TRUE(give(true).empty());
  for (uint64_t i = 0; i < 7 * kRecords; ++i) EXPECT_TRUE(ring->Write(0, Event(100 + i)));
  EXPECT_EQ(give(true).size(), 7U) << "a block that was written to anew is full anew";
}

// More threads than writers, so that some share one: each event is there exactly once. There is room for all, and
// for the blocks that threads which meet at a full one take in vain.
TEST(EventRing, LosesNothingBetweenThreadsThatShareAWriter) {
  constexpr uint64_t kThreads = 4, kEach = 10000;
  std::vector<char> memory((3 * kThreads * kEach / kRecords + 64) * kBlockBytes);
  auto ring = std::make_unique<EventRing>();
  ring->Attach(memory.data(), memory.size(), kBlockBytes, AlwaysPresent);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> written = 0;
  for (uint64_t id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      for (uint64_t i = 0; i < kEach; ++i) {
        written += ring->Write(static_cast<uint32_t>(id % 2), Event(id * kEach + i + 1)) != nullptr;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto found = ValidEvents(memory);
  EXPECT_EQ(found.size(), written);
  EXPECT_EQ(std::set<uint64_t>(found.begin(), found.end()).size(), found.size());
  EXPECT_GT(written, kThreads * kEach * 99 / 100);
}

}  // namespace
}  // namespace heapecho::buffer

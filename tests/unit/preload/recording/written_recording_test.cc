// SPDX-License-Identifier: Apache-2.0
// A recording that is written holds what a mapped one does.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "analyzer/reader/reader.h"
#include "gtest/gtest.h"
#include "preload/base/counters.h"
#include "preload/recording/history.h"
#include "preload/recording/recording.h"
#include "preload/wire/format.h"

namespace heapecho::recording {
namespace {

constexpr uint32_t kEvents = 3000;  // some blocks full

// Does once whatever can be done to a recording.
void DoEverything(Recording& recording) {
  for (uint32_t i = 1; i < 700; ++i) {  // across pages
    recording.MirrorNativeNode(i, {.parent = i - 1, .location_low = i, .location_high = 0});
    recording.MirrorPythonNode(i, {.parent = i - 1, .location_low = 1, .location_high = i});
    wire::StackRecord stack = {};
    stack.native_leaf = i;
    stack.live_bytes = i * 256;
    stack.first_seen_ns = 1;
    recording.MirrorStack(i, &stack);
    wire::LiveRecord live = {};
    live.address = 0x1000 + i;
    live.size = i;
    live.weight = 1;
    live.stack = i;
    live.interval = 1;
    recording.MirrorLive(i, live);
    if (i % 7 == 0) recording.ClearLive(i);
    wire::ThreadRecord thread = {};
    thread.thread = i;
    recording.MirrorThread(i, thread);
    wire::ChildRecord child = {};
    child.sequence = i;
    child.pid = static_cast<int32_t>(i);
    child.check = wire::CheckOf(child, i);
    recording.MirrorChild(i, child);
  }
  char code[64] = {};
  const wire::CodeRecord record = {.length = sizeof code,
                                   .id = 1,
                                   .first_line = 1,
                                   .table = 0,
                                   .reserved = {},
                                   .name_length = 4,
                                   .file_length = 4,
                                   .table_length = 0,
                                   .reserved1 = 0};
  memcpy(code, &record, sizeof record);
  memcpy(code + sizeof record, "namefile", 8);
  recording.MirrorCode(0, code, sizeof code);
  recording.AppendIdentity(wire::IdentityKey::kNote, "a note");
  wire::ModuleRecord module = {};
  module.kind = static_cast<uint16_t>(wire::ModuleRecordKind::kLoaded);
  module.id = 1;
  module.build_id_length = 4;
  module.path_length = 4;
  recording.AppendModule(module, "\1\2\3\4", "/bin");
  for (uint32_t i = 1; i <= kEvents; ++i) {
    wire::EventRecord event = {};
    event.time_ns = i;
    event.size = event.interval = 1;
    event.weight = 1;
    event.address = i;
    event.kind = static_cast<uint8_t>(wire::EventKind::kAllocate);
    recording.AppendEvent(i % 3, event);
  }
  recording.MirrorCounters();
  recording.header()->samples = kEvents;
}

// Events by one thread, in order of time.
void AppendEvents(Recording& recording, uint64_t count, uint64_t* time) {
  for (uint64_t i = 0; i < count; ++i) {
    wire::EventRecord event = {};
    event.time_ns = event.address = ++*time;
    event.size = event.interval = 1;
    event.weight = 1;
    event.kind = static_cast<uint8_t>(wire::EventKind::kAllocate);
    recording.AppendEvent(0, event);
  }
}

class WrittenRecordingTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/writtenXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    uint8_t id[16];
    for (auto& recording : recordings_)
      if (recording != nullptr) recording->Abandon(id);
    std::filesystem::remove_all(directory_);
  }

  // The recording number `index`, in a folder of its own.
  Recording& Begin(size_t index, bool map) {
    const std::string folder = directory_ + "/" + std::to_string(index);
    recordings_[index] = std::make_unique<Recording>();
    const Trouble trouble = recordings_[index]->Begin({.directory = folder.c_str(),
                                                       .budget = kSmallestBudget,
                                                       .keep = uint64_t{1} << 40,
                                                       .map = map,
                                                       .interval_configured = 0,
                                                       .process_start_ns = 1,
                                                       .forked_at_ns = 0,
                                                       .parent_id = nullptr,
                                                       .facts = {}});
    EXPECT_EQ(trouble.what, nullptr) << trouble.what;
    return *recordings_[index];
  }

  std::string Path(size_t index) const {
    for (const auto& entry :
         std::filesystem::directory_iterator(directory_ + "/" + std::to_string(index)))
      if (entry.path().extension() == ".heapecho") return entry.path();
    return "";
  }
  std::string File(size_t index) const {
    std::ifstream file(Path(index), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  std::string directory_;
  std::unique_ptr<Recording> recordings_[2];
};

void AddToHistory(History& history, Recording& recording) {
  static const wire::StackRecord kStacks[4] = {};
  for (uint32_t point = 1; point < recording.layout().history_slots + 20;
       ++point) {  // some are merged
    history.draft().time_ns = point * 1000000000ULL;
    history.Add(recording, kStacks, 4);
  }
}

TEST_F(WrittenRecordingTest, HasEveryByteThatAMappedOneHas) {
  Recording& mapped = Begin(0, true);
  Recording& written = Begin(1, false);
  History histories[2];
  for (size_t i = 0; i < 2; ++i) {
    // The event ring of the one that began last asks; both have their pages by then.
    DoEverything(*recordings_[i]);
    ASSERT_TRUE(histories[i].Initialize(recordings_[i]->layout()));
    AddToHistory(histories[i], *recordings_[i]);
  }
  written.WriteNow();
  ASSERT_TRUE(written.active());
  const std::string one = File(0), other = File(1);
  ASSERT_EQ(one.size(), other.size());
  const Layout& layout = mapped.layout();
  for (uint32_t i = 0; i < layout.section_count; ++i) {
    const wire::Section& section = layout.sections[i];
    EXPECT_EQ(one.compare(section.offset, section.size, other, section.offset, section.size), 0)
        << "section " << section.kind;
  }
  wire::FileHeader headers[2];
  memcpy(&headers[0], one.data(), sizeof headers[0]);
  memcpy(&headers[1], other.data(), sizeof headers[1]);
  EXPECT_EQ(memcmp(headers[0].sections, headers[1].sections, sizeof headers[0].sections), 0);
  EXPECT_EQ(headers[1].samples, kEvents);
  EXPECT_EQ(headers[0].keeping, static_cast<uint32_t>(wire::Keeping::kMapped));
  EXPECT_EQ(headers[1].keeping, static_cast<uint32_t>(wire::Keeping::kAsked));
}

TEST_F(WrittenRecordingTest, CanBeReadFromTheMomentItIsThere) {
  Begin(1, false);
  const auto recording = reader::ReadRecording(Path(1));
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->keeping, model::Keeping::kAsked);
  EXPECT_EQ(recording->warnings, std::vector<std::string>());
}

TEST_F(WrittenRecordingTest, SaysHowTheProcessEnded) {
  Recording& written = Begin(1, false);
  DoEverything(written);
  written.EndProcess(wire::ProcessEnd::kExited, 7, 99);
  const auto recording = reader::ReadRecording(Path(1));
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->process_end, model::ProcessEnd::kExited);
  EXPECT_EQ(recording->exit_status, 7);
  EXPECT_EQ(recording->events.size(), kEvents);
}

TEST_F(WrittenRecordingTest, KeepsEventsThatItLetGoOf) {
  Recording& written = Begin(1, false);
  DoEverything(written);
  for (uint64_t now = 1; now < 100; ++now) {
    if (written.IsWriteDue(now * 1000000000000)) written.WriteDue(now * 1000000000000);
  }
  uint64_t time = kEvents;
  AppendEvents(written, 1, &time);
  written.EndProcess(wire::ProcessEnd::kExited, 0, 99);
  const auto recording = reader::ReadRecording(Path(1));
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->events.size(), kEvents + 1);
}

TEST_F(WrittenRecordingTest, CountsTheBlocksOfEventsThatTheFileNeverHad) {
  Recording& written = Begin(1, false);
  const wire::Section& section = written.layout().Find(wire::SectionKind::kEvents);
  const uint64_t block_events =
      (section.record_size - sizeof(wire::BlockHeader)) / sizeof(wire::EventRecord);
  const uint64_t blocks = section.size / section.record_size;
  const auto& counter =
      base::g_counters[static_cast<size_t>(base::Counter::k_event_blocks_not_kept)];
  uint64_t time = 0;
  const auto fill = [&](uint64_t count) { AppendEvents(written, count * block_events, &time); };
  const uint64_t before = counter.load();
  fill(blocks);
  EXPECT_EQ(counter.load(), before) << "the ring had room";
  fill(10);
  EXPECT_EQ(counter.load(), before + 10);
  for (uint64_t now = 1; now < 1000; ++now) written.WriteDue(now * 1000000000000);
  fill(10);
  EXPECT_EQ(counter.load(), before + 10) << "these were in the file";
}

// A record lies across two pages of its block: half of it is let go of, and half still in the file.
TEST_F(WrittenRecordingTest, ABlockThatIsTakenAgainIsReadWithoutWhatItHeldBefore) {
  Recording& written = Begin(1, false);
  const wire::Section& section = written.layout().Find(wire::SectionKind::kEvents);
  const uint64_t block_events =
      (section.record_size - sizeof(wire::BlockHeader)) / sizeof(wire::EventRecord);
  const uint64_t blocks = section.size / section.record_size;
  uint64_t time = 0;
  AppendEvents(written, blocks * block_events, &time);
  for (uint64_t now = 1; now < 1000; ++now) written.WriteDue(now * 1000000000000);
  constexpr uint64_t kInTheFirstPage = 40;
  AppendEvents(written, kInTheFirstPage, &time);
  written.EndProcess(wire::ProcessEnd::kExited, 0, 99);
  const auto recording = reader::ReadRecording(Path(1));
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->torn_events, 0u);
  EXPECT_EQ(recording->events.size(), (blocks - 1) * block_events + kInTheFirstPage);
}

TEST_F(WrittenRecordingTest, EndsWhenItsFileIsGoneAndTheProcessGoesOn) {
  Recording& written = Begin(1, false);
  std::filesystem::remove(Path(1));
  written.WriteNow();
  EXPECT_FALSE(written.active());
  EXPECT_EQ(written.header(), nullptr);
  written.MirrorNativeNode(1, {});
  written.EndProcess(wire::ProcessEnd::kExited, 0, 99);
  EXPECT_EQ(Path(1), "") << "no file is made in its place";
}

}  // namespace
}  // namespace heapecho::recording

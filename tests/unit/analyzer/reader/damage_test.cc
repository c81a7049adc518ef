// SPDX-License-Identifier: Apache-2.0
// Recordings that lie: what each lie costs, and what is said about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "analyzer/reader/reader.h"
#include "tests/support/recording_builder.h"
#include "tests/support/sample_recordings.h"

namespace heapecho::reader {
namespace {

using ::heapecho::testing::RecordingBuilder;
using ::heapecho::testing::SmallRecording;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using wire::SectionKind;

model::Recording ParseBytes(const std::vector<uint8_t>& bytes) {
  absl::StatusOr<model::Recording> recording = ParseRecording(bytes, "test");
  EXPECT_TRUE(recording.ok()) << recording.status();
  if (!recording.ok()) return {};
  EXPECT_EQ(recording->CheckValid(), "");
  return *std::move(recording);
}

model::Recording Parse(const RecordingBuilder& builder) { return ParseBytes(builder.Build()); }

std::string ErrorOf(const std::vector<uint8_t>& bytes) {
  return std::string(ParseRecording(bytes, "some/file").status().message());
}

// Changes the header of a finished file.
std::vector<uint8_t> WithHeader(std::vector<uint8_t> bytes,
                                const std::function<void(wire::FileHeader&)>& change) {
  wire::FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  change(header);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

wire::Section& SectionOf(wire::FileHeader& header, SectionKind kind) {
  for (wire::Section& section : header.sections) {
    if (section.kind == static_cast<uint32_t>(kind)) return section;
  }
  ADD_FAILURE() << "no such section";
  return header.sections[0];
}

uint64_t OffsetOf(const std::vector<uint8_t>& bytes, SectionKind kind) {
  wire::FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return SectionOf(header, kind).offset;
}

RecordingBuilder OneStack() {
  RecordingBuilder builder;
  builder.AddStack({{0, 0x10}, {0, 0x20}, {0, 0x30}});  // nodes 1, 2, 3; stack 1
  return builder;
}

TEST(HopelessFile, IsNamedAndToldWhy) {
  EXPECT_THAT(ErrorOf({}), "some/file: is empty");
  EXPECT_THAT(ErrorOf({1, 2, 3}),
              AllOf(StartsWith("some/file: is no heapecho recording"), HasSubstr("3 bytes")));
  EXPECT_THAT(ErrorOf(std::vector<uint8_t>(8192, 'x')), "some/file: is no heapecho recording");
  EXPECT_THAT(ErrorOf(std::vector<uint8_t>(8192, 0)), HasSubstr("never begun"));
}

TEST(HopelessFile, IsOneThatEndsInsideItsHeader) {
  std::vector<uint8_t> bytes = SmallRecording().Build();
  bytes.resize(300);
  EXPECT_THAT(ErrorOf(bytes),
              AllOf(StartsWith("some/file: is cut off inside its header"), HasSubstr("300")));
}

TEST(HopelessFile, IsOneOfAnotherVersion) {
  RecordingBuilder builder;
  builder.header().version = 7;
  EXPECT_THAT(ErrorOf(builder.Build()), AllOf(StartsWith("some/file: "), HasSubstr("version 7")));
}

TEST(CutFile, GivesWhatItHolds) {
  std::vector<uint8_t> bytes = SmallRecording().Build();
  bytes.resize(OffsetOf(bytes, SectionKind::kEvents) + sizeof(wire::BlockHeader) +
               2 * sizeof(wire::EventRecord) + 5);
  const model::Recording recording = ParseBytes(bytes);
  EXPECT_THAT(recording.warnings, Contains(HasSubstr("cut off")));
  EXPECT_THAT(recording.live_blocks, SizeIs(3));
}

TEST(DamagedHeader, IsReadAndSaidToBeSo) {
  const model::Recording recording = ParseBytes(
      WithHeader(SmallRecording().Build(), [](wire::FileHeader& header) { header.pid ^= 4; }));
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("header is damaged")));
}

TEST(DamagedHeader, MayNameEndsThatDoNotExist) {
  RecordingBuilder builder;
  builder.header().process_end = 77;
  builder.header().recording_end = 78;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.process_end, model::ProcessEnd::kRunning);
  EXPECT_EQ(recording.recording_end, model::RecordingEnd::kUnknown);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("unknown end")));
}

TEST(DamagedTotals, CountAsZero) {
  RecordingBuilder builder = OneStack();
  builder.header().live_bytes = static_cast<uint64_t>(-256);
  builder.header().live_variance = std::numeric_limits<double>::quiet_NaN();
  builder.stack(1).peak_bytes = 5;
  builder.stack(1).live_variance = -std::numeric_limits<double>::infinity();
  builder.stack(1).allocated_variance = 1e300;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.live.bytes, 0);
  EXPECT_EQ(recording.stacks[1].allocated.bytes_variance, 0);
  EXPECT_THAT(recording.warnings, Contains(HasSubstr("1 totals are below zero")));
  EXPECT_THAT(recording.warnings, Contains(HasSubstr("variances are no numbers")));
}

TEST(DamagedTotals, DoNotComplainOfRounding) {
  RecordingBuilder builder = OneStack();
  builder.stack(1).live_variance = -1e-3;
  EXPECT_THAT(Parse(builder).warnings, IsEmpty());
}

TEST(DamagedSectionTable, LosesASectionThatOverlapsAnother) {
  const model::Recording recording =
      ParseBytes(WithHeader(SmallRecording().Build(), [](wire::FileHeader& header) {
        SectionOf(header, SectionKind::kLive).offset =
            SectionOf(header, SectionKind::kStacks).offset;
      }));
  EXPECT_THAT(recording.live_blocks, IsEmpty());
  EXPECT_THAT(recording.stacks, SizeIs(4));
  EXPECT_THAT(recording.warnings, Contains(HasSubstr("section live overlaps")));
}

TEST(DamagedSectionTable, LosesASectionBeyondTheEnd) {
  const model::Recording recording =
      ParseBytes(WithHeader(SmallRecording().Build(), [](wire::FileHeader& header) {
        SectionOf(header, SectionKind::kLive).offset = uint64_t{1} << 40;
      }));
  EXPECT_THAT(recording.live_blocks, IsEmpty());
}

TEST(DamagedSectionTable, LosesASectionWithAnImpossiblePlace) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{4097}, ~uint64_t{4095}}) {
    const model::Recording recording =
        ParseBytes(WithHeader(SmallRecording().Build(), [&](wire::FileHeader& header) {
          SectionOf(header, SectionKind::kLive).offset = offset;
          SectionOf(header, SectionKind::kLive).size = 1 << 20;
        }));
    EXPECT_THAT(recording.live_blocks, IsEmpty());
    EXPECT_THAT(recording.warnings, Contains(HasSubstr("section live"))) << offset;
  }
}

TEST(DamagedSectionTable, LosesASectionWithRecordsOfAnotherSize) {
  const model::Recording recording =
      ParseBytes(WithHeader(SmallRecording().Build(), [](wire::FileHeader& header) {
        SectionOf(header, SectionKind::kLive).record_size = 0;
        SectionOf(header, SectionKind::kStacks).record_size = 129;
        SectionOf(header, SectionKind::kEvents).record_size = 7;
      }));
  EXPECT_THAT(recording.live_blocks, IsEmpty());
  EXPECT_THAT(recording.stacks, SizeIs(1));
  EXPECT_THAT(recording.events, IsEmpty());
  EXPECT_THAT(recording.warnings, SizeIs(3));
}

TEST(DamagedSectionTable, TakesTheFirstOfTwo) {
  RecordingBuilder builder = SmallRecording();
  builder.AddSection(static_cast<uint32_t>(SectionKind::kCounters), sizeof(wire::CounterRecord), "",
                     0);
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.counters, SizeIs(2));
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("section counters is there twice")));
}

TEST(DamagedSectionTable, MayClaimMoreThanThereIs) {
  const model::Recording recording =
      ParseBytes(WithHeader(SmallRecording().Build(), [](wire::FileHeader& header) {
        header.section_count = 1000;
        for (wire::Section& section : header.sections) section.committed = ~uint64_t{0};
        SectionOf(header, SectionKind::kEvents).size = uint64_t{1} << 62;
      }));
  EXPECT_THAT(recording.live_blocks, SizeIs(3));
  EXPECT_THAT(recording.warnings, Contains(HasSubstr("1000 sections")));
}

TEST(DamagedFrames, EndAStackWhereTheCallerIsNotThere) {
  RecordingBuilder builder = OneStack();
  builder.node(2).parent = 99;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.native_nodes[3].parent, 2u);
  EXPECT_EQ(recording.native_nodes[2].parent, 0u);
  EXPECT_TRUE(recording.stacks[1].broken);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("1 frames name a caller")));
}

TEST(DamagedFrames, EndAStackWhereTheCallerWasNeverWritten) {
  RecordingBuilder builder = OneStack();
  builder.node(2) = {};
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.native_nodes[3].parent, 0u);
  EXPECT_TRUE(recording.stacks[1].broken);
}

TEST(DamagedFrames, EndACircleOnce) {
  RecordingBuilder builder = OneStack();
  builder.node(1).parent = 3;
  const model::Recording recording = Parse(builder);
  EXPECT_TRUE(recording.stacks[1].broken);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("1 frames call themselves in a circle")));
}

TEST(DamagedFrames, EndAFrameThatCallsItself) {
  RecordingBuilder builder = OneStack();
  builder.node(3).parent = 3;
  EXPECT_EQ(Parse(builder).native_nodes[3].parent, 0u);
}

TEST(DamagedFrames, CutChainsThatAreDeeperThanStacksCanBe) {
  RecordingBuilder builder;
  uint32_t leaf = 0;
  for (uint64_t i = 1; i <= 3 * model::kMaxFrames; ++i) leaf = builder.AddNode(leaf, {0, i});
  const uint32_t stack = builder.AddStack({{0, 1 << 20}});
  builder.stack(stack).native_leaf = leaf;
  const model::Recording recording = Parse(builder);
  EXPECT_TRUE(recording.stacks[stack].broken);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("2 frames lie deeper")));
}

TEST(DamagedFrames, LeaveAStackWithoutFramesWhenItsLeafIsNotThere) {
  RecordingBuilder builder = OneStack();
  builder.stack(1).native_leaf = 4;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.stacks[1].native_leaf, 0u);
  EXPECT_TRUE(recording.stacks[1].broken);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("1 stacks name frames")));
}

TEST(DamagedFrames, KeepTheirAddressInAModuleWithoutARecord) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{5, 0x1234}});
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.modules, SizeIs(1));
  EXPECT_EQ(recording.modules[0].id, 5);
  EXPECT_EQ(recording.modules[0].path, "");
  EXPECT_EQ(recording.native_nodes[recording.stacks[stack].native_leaf].address, 0x1234u);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("1 modules are named by frames")));
}

TEST(DamagedStack, OfAnUnknownDomainCountsAsMalloc) {
  RecordingBuilder builder = OneStack();
  builder.stack(1).domain = 200;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.stacks[1].domain, model::Domain::kMalloc);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("unknown domain")));
}

TEST(DamagedStack, ThatIsNobodysIsNoDamage) {
  // Of two threads that met a new stack at once, one's record used to be called damaged.
  RecordingBuilder builder = OneStack();
  builder.stack(1).domain = wire::kNoDomain;
  EXPECT_THAT(Parse(builder).warnings, IsEmpty());
}

TEST(TornRecords, AreCountedAndLeftOut) {
  RecordingBuilder builder = OneStack();
  for (uint64_t i = 1; i <= 3; ++i) {
    builder.Allocate({.stack = 1, .address = i << 12, .size = 10, .time_ns = 2'000'000'000 + i});
  }
  std::vector<uint8_t> bytes = builder.Build();
  bytes[OffsetOf(bytes, SectionKind::kLive) + sizeof(wire::LiveRecord)] ^= 1;
  bytes[OffsetOf(bytes, SectionKind::kEvents) + sizeof(wire::BlockHeader) + 8] ^= 1;
  // As a kill leaves it: the words are there, the check is not.
  std::memset(&bytes[OffsetOf(bytes, SectionKind::kEvents) + sizeof(wire::BlockHeader) +
                     3 * sizeof(wire::EventRecord) - 8],
              0, 8);
  const model::Recording recording = ParseBytes(bytes);
  EXPECT_EQ(recording.torn_live, 1u);
  EXPECT_THAT(recording.live_blocks, SizeIs(2));
  EXPECT_THAT(recording.events, SizeIs(1));
  EXPECT_GE(recording.torn_events, 1u);
}

TEST(TornRecords, IncludeThoseWithImpossibleWeights) {
  RecordingBuilder builder = OneStack();
  wire::LiveRecord live = {};
  live.address = 1;
  live.interval = 1;
  for (const double weight : {0.0, -1.0, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
    live.weight = weight;
    builder.PutLive(live);
  }
  live.weight = 1;
  live.interval = 0;
  builder.PutLive(live);
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.live_blocks, IsEmpty());
  EXPECT_EQ(recording.torn_live, 5u);
}

TEST(DamagedBlock, OfEventsIsLeftOutAlone) {
  RecordingBuilder builder = OneStack();
  builder.Allocate({.stack = 1, .address = 0x1000, .size = 10, .time_ns = 2'000'000'000});
  builder.StartBlock(1);
  builder.Allocate({.stack = 1, .address = 0x2000, .size = 10, .time_ns = 2'000'000'001});
  std::vector<uint8_t> bytes = builder.Build();
  bytes[OffsetOf(bytes, SectionKind::kEvents)] ^= 1;
  const model::Recording recording = ParseBytes(bytes);
  ASSERT_THAT(recording.events, SizeIs(1));
  EXPECT_EQ(recording.events[0].address, 0x2000u);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("1 blocks of events")));
}

TEST(LiveBlock, OfAStackThatIsNotThereBelongsToTheUnknownOne) {
  RecordingBuilder builder;
  wire::LiveRecord live = {};
  live.address = 1;
  live.weight = 1;
  live.interval = 1;
  live.stack = 1;
  builder.PutLive(live);
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.live_blocks.at(0).stack, model::StackId{});
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("1 live blocks name a stack")));
}

// Threads append side by side: one that was killed may leave a gap before a record that is whole.
TEST(DamagedModules, DoNotHideThoseBehindThem) {
  RecordingBuilder builder;
  builder.AddModule("/lib/a.so", "aa", 0x1000, 0x1000);
  builder.PutModuleBytes(std::string(72, '\0'));
  const uint16_t last = builder.AddModule("/lib/b.so", "bb", 0x2000, 0x1000);
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.modules, SizeIs(2));
  EXPECT_EQ(recording.modules[1].id, last);
  EXPECT_EQ(recording.modules[1].path, "/lib/b.so");
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("1 places in the list of modules")));
}

TEST(DamagedModules, MayClaimTailsLongerThanThemselves) {
  RecordingBuilder builder;
  wire::ModuleRecord record = {};
  record.length = sizeof record;
  record.kind = 1;
  record.id = 1;
  record.build_id_length = ~0u;
  record.path_length = ~0u;
  builder.PutModuleBytes(std::string(reinterpret_cast<const char*>(&record), sizeof record));
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.modules, IsEmpty());
  EXPECT_THAT(recording.warnings, SizeIs(1));
}

TEST(DamagedModules, AreTakenOnceEach) {
  RecordingBuilder builder;
  wire::ModuleRecord record = {};
  record.length = sizeof record;
  record.kind = 1;
  record.id = 1;
  record.start = 2;  // and an end before it
  const std::string bytes(reinterpret_cast<const char*>(&record), sizeof record);
  builder.PutModuleBytes(bytes + bytes);
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.modules, SizeIs(1));
  EXPECT_EQ(recording.modules[0].end, 2u);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("modules are there twice")));
}

TEST(DamagedIdentity, GivesItsBeginning) {
  RecordingBuilder builder;
  builder.AddIdentity(wire::IdentityKey::kHost, "web-1");
  builder.AddIdentity(wire::IdentityKey::kUser, "root");
  std::vector<uint8_t> bytes = builder.Build();
  const uint32_t huge = 0xfffffff0;
  std::memcpy(&bytes[OffsetOf(bytes, SectionKind::kIdentity) + 16], &huge, sizeof huge);
  const model::Recording recording = ParseBytes(bytes);
  EXPECT_EQ(recording.identity.host, "web-1");
  EXPECT_EQ(recording.identity.user, "");
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("identity is damaged")));
}

TEST(DamagedIdentity, MayHoldALimitThatIsNoNumber) {
  RecordingBuilder builder;
  builder.AddIdentity(wire::IdentityKey::kCgroupLimit, "max");
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.identity.cgroup_limit, 0u);
  EXPECT_THAT(recording.warnings, SizeIs(1));
}

TEST(HostileIdentity, IsBounded) {
  RecordingBuilder builder;
  for (int i = 0; i < 10'000; ++i) builder.AddIdentity(wire::IdentityKey::kNote, "");
  builder.AddIdentity(wire::IdentityKey::kCommand, std::string(2 << 20, '\0'));
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.identity.notes, SizeIs(4096));
  EXPECT_THAT(recording.identity.command, IsEmpty());
  EXPECT_THAT(recording.warnings, Contains(HasSubstr("too long")));
}

}  // namespace
}  // namespace heapecho::reader

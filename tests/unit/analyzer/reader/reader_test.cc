// SPDX-License-Identifier: Apache-2.0
// What a whole recording says, read back.
#include "analyzer/reader/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/recording_builder.h"
#include "tests/support/sample_recordings.h"

namespace heapecho::reader {
namespace {

using ::heapecho::testing::RecordingBuilder;
using ::heapecho::testing::SmallRecording;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

model::Recording Parse(const RecordingBuilder& builder) {
  absl::StatusOr<model::Recording> recording = ParseRecording(builder.Build(), "test");
  EXPECT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->CheckValid(), "");
  return *std::move(recording);
}

// Addresses from the innermost frame outwards.
std::vector<uint64_t> Frames(const model::Recording& recording, uint32_t stack) {
  std::vector<uint64_t> frames;
  for (uint32_t at = recording.stacks[stack].native_leaf; at != 0;
       at = recording.native_nodes[at].parent) {
    frames.push_back(recording.native_nodes[at].address);
  }
  return frames;
}

TEST(Reader, FindsNothingWrongWithAWholeRecording) {
  EXPECT_THAT(Parse(SmallRecording()).warnings, IsEmpty());
}

TEST(Reader, LeavesNothingButTheEventsOutWhenTheyAreOnlyChecked) {
  const std::vector<uint8_t> bytes = SmallRecording().Build();
  const auto whole = ParseRecording(bytes, "test");
  const auto checked = ParseRecording(bytes, "test", Events::kCheck);
  ASSERT_TRUE(whole.ok() && checked.ok());
  EXPECT_FALSE(whole->events.empty());
  EXPECT_THAT(checked->events, IsEmpty());
  EXPECT_EQ(checked->last_event_ns, whole->last_event_ns);
  EXPECT_EQ(checked->torn_events, whole->torn_events);
  EXPECT_EQ(checked->live_blocks.size(), whole->live_blocks.size());
  EXPECT_EQ(checked->stacks.size(), whole->stacks.size());
}

TEST(Reader, ReadsAnEmptyRecording) {
  const model::Recording recording = Parse(RecordingBuilder());
  EXPECT_THAT(recording.warnings, IsEmpty());
  EXPECT_THAT(recording.live_blocks, IsEmpty());
  EXPECT_THAT(recording.events, IsEmpty());
}

TEST(Reader, ReadsWhoWroteIt) {
  RecordingBuilder builder;
  using wire::IdentityKey;
  builder.AddIdentity(IdentityKey::kHost, "web-1");
  builder.AddIdentity(IdentityKey::kContainer, "4f3c");
  builder.AddIdentity(IdentityKey::kExecutable, "/usr/bin/python3");
  builder.SetCommand({"python3", "", "app.py"});
  builder.AddIdentity(IdentityKey::kUser, "www-data");
  builder.AddIdentity(IdentityKey::kWorkingDirectory, "/srv");
  builder.AddIdentity(IdentityKey::kKernel, "6.1");
  builder.AddIdentity(IdentityKey::kLibc, "glibc 2.36");
  builder.AddIdentity(IdentityKey::kAllocator, "/lib/libc.so.6");
  builder.AddIdentity(IdentityKey::kEnvironment, "A=1");
  builder.AddIdentity(IdentityKey::kEnvironment, "B=2");
  builder.AddIdentity(IdentityKey::kCgroup, "0::/app");
  builder.AddIdentity(IdentityKey::kCgroupLimit, "1073741824");
  builder.AddIdentity(IdentityKey::kLibraryVersion, "0.1.0");
  builder.AddIdentity(IdentityKey::kNote, "a note");
  builder.AddIdentity(static_cast<IdentityKey>(999), "of a later version");
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.warnings, IsEmpty());
  const model::Identity& identity = recording.identity;
  EXPECT_EQ(identity.host, "web-1");
  EXPECT_EQ(identity.container, "4f3c");
  EXPECT_EQ(identity.executable, "/usr/bin/python3");
  EXPECT_THAT(identity.command, ElementsAre("python3", "", "app.py"));
  EXPECT_EQ(identity.user, "www-data");
  EXPECT_EQ(identity.working_directory, "/srv");
  EXPECT_EQ(identity.kernel, "6.1");
  EXPECT_EQ(identity.libc, "glibc 2.36");
  EXPECT_EQ(identity.allocator, "/lib/libc.so.6");
  EXPECT_THAT(identity.environment, ElementsAre("A=1", "B=2"));
  EXPECT_EQ(identity.cgroup, "0::/app");
  EXPECT_EQ(identity.cgroup_limit, 1073741824u);
  EXPECT_EQ(identity.library_version, "0.1.0");
  EXPECT_THAT(identity.notes, ElementsAre("a note"));
}

TEST(Reader, ReadsProcessAndClocks) {
  RecordingBuilder builder;
  wire::FileHeader& header = builder.header();
  header.pid = 412;
  header.ppid = 400;
  header.uid = 33;
  header.pid_namespace = 7;
  header.start_ticks = 8;
  header.begin_realtime_ns = 9;
  header.interval_configured = 10;
  header.interval_now = 11;
  header.threads_seen = 12;
  header.own_ns = 13;
  header.cpu_ns = 14;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.file, "test");
  EXPECT_EQ(recording.id.ToHex(), "101112131415161718191a1b1c1d1e1f");
  EXPECT_TRUE(recording.parent_id.IsZero());
  EXPECT_EQ(recording.pid, 412u);
  EXPECT_EQ(recording.ppid, 400u);
  EXPECT_EQ(recording.uid, 33u);
  EXPECT_EQ(recording.pid_namespace, 7u);
  EXPECT_EQ(recording.start_ticks, 8u);
  EXPECT_EQ(recording.begin_realtime_ns, 9u);
  EXPECT_EQ(recording.interval_configured, 10u);
  EXPECT_EQ(recording.interval_now, 11u);
  EXPECT_EQ(recording.threads_seen, 12u);
  EXPECT_EQ(recording.own_ns, 13u);
  EXPECT_EQ(recording.cpu_ns, 14u);
}

std::string ChildBytes(wire::ChildRecord record, uint64_t slot) {
  record.check = wire::CheckOf(record, slot);
  return std::string(reinterpret_cast<const char*>(&record), sizeof record);
}

TEST(Reader, ReadsHowOthersEndedInTheOrderInWhichItWasNoted) {
  wire::ChildRecord killed = {}, exited = {}, sent = {};
  killed.sequence = 3;
  killed.kind = exited.kind = static_cast<uint32_t>(wire::ChildKind::kReaped);
  killed.pid = 412;
  killed.status = 9;
  killed.max_rss = 1 << 20;
  killed.time_ns = 5'000'000'000;
  killed.oom_kills_after = 4;
  killed.flags = wire::kOomKillsAfterKnown;
  exited.sequence = 1;
  exited.pid = 413;
  exited.status = 3 << 8;
  sent.sequence = 2;
  sent.kind = static_cast<uint32_t>(wire::ChildKind::kSignalled);
  sent.pid = -7;
  sent.status = 15;
  sent.flags = wire::kSignalFailed;
  RecordingBuilder builder;
  // Slot 3 was written for another place, slot 4 never.
  builder.AddSection(static_cast<uint32_t>(wire::SectionKind::kChildren), sizeof(wire::ChildRecord),
                     ChildBytes(killed, 0) + ChildBytes(exited, 1) + ChildBytes(sent, 2) +
                         ChildBytes(killed, 9) + std::string(sizeof(wire::ChildRecord), '\0'),
                     5);
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.child_ends, SizeIs(2));
  EXPECT_EQ(recording.child_ends[0].pid, 413u);
  EXPECT_EQ(recording.child_ends[0].exit_status, 3);
  EXPECT_EQ(recording.child_ends[0].signal, 0);
  EXPECT_EQ(recording.child_ends[1].signal, 9);
  EXPECT_EQ(recording.child_ends[1].exit_status, -1);
  EXPECT_EQ(recording.child_ends[1].max_rss, 1u << 20);
  EXPECT_FALSE(recording.child_ends[1].oom_kills_before.has_value());
  EXPECT_EQ(recording.child_ends[1].oom_kills_after, 4u);
  ASSERT_THAT(recording.sent_signals, SizeIs(1));
  EXPECT_EQ(recording.sent_signals[0].pid, -7);
  EXPECT_TRUE(recording.sent_signals[0].failed);
  EXPECT_EQ(recording.last_event_ns, 5'000'000'000u);
  EXPECT_THAT(recording.warnings, SizeIs(1));
  EXPECT_EQ(recording.CheckValid(), "");
}

std::string RangeBytes(wire::RangeRecord record, uint64_t slot) {
  record.check = wire::CheckOf(record, slot);
  return std::string(reinterpret_cast<const char*>(&record), sizeof record);
}

TEST(Reader, ReadsMappedRangesByAddressAndThoseWithAWeightAsLiveBlocks) {
  wire::RangeRecord mapped = {}, reserve = {}, within = {}, endless = {}, space = {};
  mapped.start = 0x20000;
  mapped.length = 0x8000;
  mapped.counted = 0x6000;
  mapped.time_ns = 2'000'000'000;
  mapped.weight = 384;
  mapped.interval = 4096;
  mapped.thread = 7;
  mapped.kind = static_cast<uint8_t>(wire::RangeKind::kShared);
  mapped.domain = static_cast<uint8_t>(wire::Domain::kMmap);
  mapped.flags = wire::kRangeSeen | wire::kRangeMeasured;
  reserve.start = 0x10000;
  reserve.length = 0x1000;
  reserve.kind = static_cast<uint8_t>(wire::RangeKind::kAnonymous);
  reserve.domain = static_cast<uint8_t>(wire::Domain::kArrow);
  reserve.flags = wire::kRangeReserve;
  within = reserve;
  within.start = 0x21000;
  endless = reserve;
  endless.start = ~uint64_t{0xfff};
  endless.length = 0x2000;
  space = reserve;
  space.start = 0x30000;
  space.kind = 77;
  space.domain = wire::kNoDomain;
  RecordingBuilder builder;
  mapped.stack = builder.AddStack({{0, 0x1000}}, wire::Domain::kMmap);
  builder.AddSection(static_cast<uint32_t>(wire::SectionKind::kRanges), sizeof(wire::RangeRecord),
                     RangeBytes(mapped, 0) + RangeBytes(reserve, 1) + RangeBytes(within, 2) +
                         RangeBytes(endless, 3) + RangeBytes(space, 4) + RangeBytes(space, 9) +
                         std::string(sizeof(wire::RangeRecord), '\0'),
                     7);
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.CheckValid(), "");
  ASSERT_THAT(recording.ranges, SizeIs(3));
  EXPECT_EQ(recording.ranges[0].start, 0x10000u);
  EXPECT_TRUE(recording.ranges[0].reserve);
  EXPECT_FALSE(recording.ranges[0].seen);
  EXPECT_EQ(recording.ranges[0].domain, model::Domain::kArrow);
  EXPECT_EQ(recording.ranges[1].kind, model::Range::Kind::kShared);
  EXPECT_TRUE(recording.ranges[1].measured);
  EXPECT_EQ(recording.ranges[1].weight, 1.5);
  EXPECT_EQ(recording.ranges[2].kind, model::Range::Kind::kOther);
  EXPECT_FALSE(recording.ranges[2].domain.has_value());
  ASSERT_THAT(recording.live_blocks, SizeIs(1));
  EXPECT_EQ(recording.live_blocks[0].address, 0x20000u);
  EXPECT_EQ(recording.live_blocks[0].size, 0x6000u);
  EXPECT_EQ(recording.live_blocks[0].weight, 1.5);
  EXPECT_EQ(recording.live_blocks[0].stack.value, mapped.stack);
  EXPECT_EQ(recording.last_event_ns, 2'000'000'000u);
  // One lies within another, one has no end and one was written for another place.
  EXPECT_THAT(recording.warnings, SizeIs(2));
}

TEST(Reader, ReadsHowProcessAndRecordingEnded) {
  RecordingBuilder builder;
  builder.header().process_end = static_cast<uint32_t>(wire::ProcessEnd::kExited);
  builder.header().exit_status = 3;
  builder.header().process_end_ns = 5;
  builder.header().recording_end = static_cast<uint32_t>(wire::RecordingEnd::kDiskFull);
  builder.header().recording_end_errno = 28;
  builder.header().recording_end_ns = 4;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.process_end, model::ProcessEnd::kExited);
  EXPECT_EQ(recording.exit_status, 3);
  EXPECT_EQ(recording.process_end_ns, 5u);
  EXPECT_EQ(recording.recording_end, model::RecordingEnd::kDiskFull);
  EXPECT_EQ(recording.recording_end_errno, 28);
  EXPECT_EQ(recording.recording_end_ns, 4u);
}

TEST(Reader, ReadsModulesAndWhenTheyWent) {
  RecordingBuilder builder;
  const uint16_t first = builder.AddModule("/lib/a b.so", "00ff10", 0x10000, 0x2000, 77);
  const uint16_t second = builder.AddModule("[vdso]", "", 0x20000, 0x1000);
  builder.UnloadModule(first, 99);
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.modules, SizeIs(2));
  EXPECT_EQ(recording.modules[0].id, first);
  EXPECT_EQ(recording.modules[0].path, "/lib/a b.so");
  EXPECT_EQ(recording.modules[0].build_id, "00ff10");
  EXPECT_EQ(recording.modules[0].bias, 0x10000u);
  EXPECT_EQ(recording.modules[0].start, 0x10000u);
  EXPECT_EQ(recording.modules[0].end, 0x12000u);
  EXPECT_EQ(recording.modules[0].loaded_ns, 77u);
  EXPECT_EQ(recording.modules[0].unloaded_ns, 99u);
  EXPECT_EQ(recording.modules[1].id, second);
  EXPECT_EQ(recording.modules[1].build_id, "");
  EXPECT_EQ(recording.modules[1].unloaded_ns, 0u);
}

TEST(Reader, ReadsFramesOfEachStack) {
  RecordingBuilder builder;
  const uint16_t module = builder.AddModule("/lib/a.so", "", 0, 0x10000);
  const uint32_t left = builder.AddStack({{module, 1}, {module, 2}, {module, 3}});
  const uint32_t right = builder.AddStack({{module, 1}, {module, 4}}, wire::Domain::kMmap,
                                          wire::kStackTruncated | wire::kStackBroken, 5);
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(Frames(recording, 0), IsEmpty());
  EXPECT_THAT(Frames(recording, left), ElementsAre(3, 2, 1));
  EXPECT_THAT(Frames(recording, right), ElementsAre(4, 1));
  EXPECT_FALSE(recording.stacks[left].truncated);
  EXPECT_FALSE(recording.stacks[left].broken);
  EXPECT_TRUE(recording.stacks[right].truncated);
  EXPECT_TRUE(recording.stacks[right].broken);
  EXPECT_EQ(recording.stacks[right].domain, model::Domain::kMmap);
  EXPECT_EQ(recording.stacks[right].first_seen_ns, 5u);
  EXPECT_EQ(recording.native_nodes[recording.stacks[left].native_leaf].module, module);
}

TEST(Reader, ReadsTotalsOutOfFixedPoint) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}});
  wire::StackRecord& record = builder.stack(stack);
  record.allocated_bytes = 1000 * 256 + 128;
  record.allocated_objects = 3 * 256;
  record.allocated_variance = 1e6;
  record.freed_bytes = 256;
  record.live_bytes = 512;
  builder.header().allocated_bytes = 7 * 256;
  builder.header().allocated_object_variance = 0.25;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.stacks[stack].allocated.bytes, 1000.5);
  EXPECT_EQ(recording.stacks[stack].allocated.objects, 3);
  EXPECT_EQ(recording.stacks[stack].allocated.BytesError(), 1000);
  EXPECT_EQ(recording.stacks[stack].freed.bytes, 1);
  EXPECT_EQ(recording.stacks[stack].live.bytes, 2);
  EXPECT_EQ(recording.allocated.bytes, 7);
  EXPECT_EQ(recording.allocated.ObjectsError(), 0.5);
}

TEST(Reader, TakesAStacksObjectVarianceAsThatOfOneSize) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}});
  for (uint64_t i = 1; i <= 10; ++i) {
    builder.Allocate({.stack = stack, .address = i << 12, .size = 4096, .time_ns = 2'000'000'000});
  }
  const model::Recording recording = Parse(builder);
  const model::Estimate& live = recording.stacks[stack].live;
  // Totals are rounded to a 256th, which is all that the two may differ by.
  EXPECT_NEAR(live.objects_variance, recording.live.objects_variance,
              recording.live.objects_variance * 1e-3);
  EXPECT_GT(live.objects_variance, 0);
}

TEST(Reader, TakesThePeakOfAStackThatHasNotChangedSinceFromWhatIsLive) {
  RecordingBuilder builder;
  const uint32_t kept = builder.AddStack({{0, 1}});
  const uint32_t changed = builder.AddStack({{0, 2}});
  const uint64_t large = 64 << 20;
  builder.Allocate({.stack = kept, .address = 0x1000, .size = large, .time_ns = 2'000'000'000});
  builder.Allocate({.stack = changed, .address = 0x2000, .size = large, .time_ns = 2'000'000'001});
  builder.Free(0x2000, 2'000'000'002);
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.stacks[kept].peak.bytes, large);
  EXPECT_EQ(recording.stacks[changed].peak.bytes, large);
  EXPECT_EQ(recording.stacks[changed].live.bytes, 0);
  EXPECT_EQ(recording.peak.bytes, 2 * large);
  EXPECT_EQ(recording.peak_ns, 2'000'000'001u);
}

TEST(Reader, ReadsLiveBlocksAndLeavesFreedOnesOut) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}});
  builder.Allocate({.stack = stack, .address = 0x1000, .size = 10, .time_ns = 2'000'000'000});
  builder.Allocate({.stack = stack,
                    .address = 0x2000,
                    .size = 65536,
                    .time_ns = 2'000'000'001,
                    .thread = 7,
                    .interval = 65536});
  builder.Free(0x1000, 2'000'000'002);
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.live_blocks, SizeIs(1));
  const model::LiveBlock& block = recording.live_blocks[0];
  EXPECT_EQ(block.address, 0x2000u);
  EXPECT_EQ(block.size, 65536u);
  EXPECT_EQ(block.time_ns, 2'000'000'001u);
  EXPECT_EQ(block.thread, 7u);
  EXPECT_EQ(block.interval, 65536u);
  EXPECT_EQ(block.stack, model::StackId{stack});
  EXPECT_DOUBLE_EQ(block.weight, 1 / (1 - std::exp(-1)));
  EXPECT_FALSE(block.inherited);
  EXPECT_EQ(recording.torn_live, 0u);
}

TEST(Reader, TellsInheritedBlocksByTheTimeOfTheFork) {
  RecordingBuilder builder;
  builder.header().parent_id[0] = 1;
  builder.header().forked_at_ns = 1'000;
  const uint32_t stack = builder.AddStack({{0, 1}});
  builder.Inherit({.stack = stack, .address = 0x1000, .size = 10, .time_ns = 999});
  builder.Allocate({.stack = stack, .address = 0x2000, .size = 10, .time_ns = 1'000});
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.live_blocks, SizeIs(2));
  EXPECT_TRUE(recording.live_blocks[0].inherited);
  EXPECT_FALSE(recording.live_blocks[1].inherited);
}

TEST(Reader, InheritsNothingWithoutAParent) {
  RecordingBuilder builder;
  builder.header().forked_at_ns = 1'000;
  const uint32_t stack = builder.AddStack({{0, 1}});
  builder.Inherit({.stack = stack, .address = 0x1000, .size = 10, .time_ns = 999});
  EXPECT_FALSE(Parse(builder).live_blocks.at(0).inherited);
}

TEST(Reader, SortsEventsOfAllBlocksByTime) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}});
  builder.StartBlock(1);
  builder.Allocate({.stack = stack, .address = 0x1000, .size = 10, .time_ns = 2'000'000'000});
  builder.Allocate({.stack = stack, .address = 0x2000, .size = 10, .time_ns = 2'000'000'020});
  builder.StartBlock(2);
  builder.Allocate({.stack = stack, .address = 0x3000, .size = 10, .time_ns = 2'000'000'010});
  builder.Free(0x3000, 2'000'000'020);
  const model::Recording recording = Parse(builder);
  std::vector<uint64_t> addresses;
  for (const model::Event& event : recording.events) addresses.push_back(event.address);
  EXPECT_THAT(addresses, ElementsAre(0x1000, 0x3000, 0x2000, 0x3000));
  EXPECT_EQ(recording.events[3].kind, model::Event::Kind::kFree);
  EXPECT_EQ(recording.events[3].allocated_ns, 2'000'000'010u);
  EXPECT_EQ(recording.torn_events, 0u);
}

TEST(Reader, ReadsBlocksOfAnySizeUpToTheirLastEvent) {
  RecordingBuilder builder;
  builder.SetBlockSize(32 << 10);
  const uint32_t stack = builder.AddStack({{0, 1}});
  for (uint64_t i = 1; i <= 1500; ++i) {
    builder.Allocate(
        {.stack = stack, .address = i << 12, .size = 10, .time_ns = 2'000'000'000 + i});
  }
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.events, SizeIs(1500));
  EXPECT_EQ(recording.events.back().address, 1500u << 12);
}

// A ring's block is not wiped when it is taken again: behind the events of its new life stand those
// of the old.
TEST(Reader, LeavesOutWhatABlockHeldInItsLifeBefore) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}});
  builder.Allocate({.stack = stack, .address = 0x1000, .size = 10, .time_ns = 2'000'000'000});
  builder.Allocate({.stack = stack, .address = 0x2000, .size = 10, .time_ns = 2'000'000'001});
  std::vector<uint8_t> bytes = builder.Build();
  const wire::FileHeader& header = *reinterpret_cast<wire::FileHeader*>(bytes.data());
  for (const wire::Section& section : header.sections) {
    if (section.kind != static_cast<uint32_t>(wire::SectionKind::kEvents)) continue;
    auto& block = *reinterpret_cast<wire::BlockHeader*>(bytes.data() + section.offset);
    block.sequence += 9;
    block.started_ns = 2'000'000'005;
    block.check = wire::CheckOf(block, wire::kMagic);
    auto& event =
        *reinterpret_cast<wire::EventRecord*>(bytes.data() + section.offset + sizeof block);
    event.time_ns = 2'000'000'006;
    event.check = wire::CheckOf(event, wire::EventSeed(block.sequence, 0));
  }
  const absl::StatusOr<model::Recording> recording = ParseRecording(bytes, "test");
  ASSERT_TRUE(recording.ok());
  ASSERT_THAT(recording->events, SizeIs(1));
  EXPECT_EQ(recording->events[0].time_ns, 2'000'000'006u);
  EXPECT_EQ(recording->torn_events, 0u);
}

TEST(Reader, GivesEventsOfAFoldedStackToTheUnknownOne) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}}, wire::Domain::kMalloc, 0, 2'000'000'010);
  builder.Allocate({.stack = stack, .address = 0x1000, .size = 10, .time_ns = 2'000'000'009});
  builder.Allocate({.stack = stack, .address = 0x2000, .size = 10, .time_ns = 2'000'000'010});
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.events, SizeIs(2));
  EXPECT_EQ(recording.events[0].stack, model::StackId{});
  EXPECT_EQ(recording.events[1].stack, model::StackId{stack});
  EXPECT_THAT(recording.warnings, IsEmpty());
}

TEST(Reader, SkipsWhatALaterVersionMayHaveAdded) {
  RecordingBuilder builder;
  builder.AddSection(777, 8, "12345678", 1);
  const uint32_t stack = builder.AddStack({{0, 1}});
  builder.PutEvent({.time_ns = 2'000'000'000,
                    .address = 1,
                    .size = 1,
                    .allocated_ns = 0,
                    .weight = 1,
                    .stack = stack,
                    .thread = 1,
                    .interval = 1,
                    .kind = 9,
                    .domain = 0,
                    .reserved = 0,
                    .check = 0});
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.events, IsEmpty());
  EXPECT_THAT(recording.warnings, IsEmpty());
  EXPECT_EQ(recording.torn_events, 0u);
  EXPECT_EQ(recording.sections.back().name, "kind 777");
}

TEST(Reader, ReadsCountersInTheirOrder) {
  RecordingBuilder builder;
  builder.SetCounter("zebra", 3);
  builder.SetCounter("ape", 0);
  const model::Recording recording = Parse(builder);
  ASSERT_THAT(recording.counters, SizeIs(2));
  EXPECT_EQ(recording.counters[0].name, "zebra");
  EXPECT_EQ(recording.counters[0].value, 3u);
  EXPECT_EQ(recording.counters[1].name, "ape");
}

TEST(Reader, DescribesSectionsAsTheFileHasThem) {
  RecordingBuilder builder;
  builder.Reserve(wire::SectionKind::kEvents, 8 << 12);
  const model::Recording recording = Parse(builder);
  uint64_t end = 4096;
  for (const model::SectionInfo& section : recording.sections) {
    EXPECT_EQ(section.offset, end);
    end += section.size;
  }
  EXPECT_EQ(end, recording.file_bytes);
  EXPECT_EQ(recording.sections[4].name, "stacks");
  EXPECT_EQ(recording.sections[4].records, 1u);
  EXPECT_EQ(recording.sections[6].name, "events");
  EXPECT_EQ(recording.sections[6].size, 8u << 12);
}

// A process is killed between a record and the header that counts it.
TEST(Reader, CountsTheYoungestRecordAsTheLastEvent) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}});
  builder.Allocate({.stack = stack, .address = 0x1000, .size = 10, .time_ns = 2'000'000'000});
  builder.header().last_event_ns = 1'999'999'999;
  EXPECT_EQ(Parse(builder).last_event_ns, 2'000'000'000u);
}

TEST(Reader, SaysTheSameTwice) {
  const RecordingBuilder builder =
      heapecho::testing::LargeRecording({.stacks = 50, .live = 50, .events = 500});
  EXPECT_EQ(builder.Build(),
            heapecho::testing::LargeRecording({.stacks = 50, .live = 50, .events = 500}).Build());
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.warnings, IsEmpty());
  EXPECT_THAT(recording.events, SizeIs(500));
  EXPECT_THAT(recording.stacks, SizeIs(51));
}

TEST(Reader, ReadsThreadsByIdAndThenByAge) {
  RecordingBuilder builder;
  builder.header().threads_seen = 5;
  builder.header().threads_at_most = 3;
  builder.PutThread(101, 1, 300, "pool-worker-name");  // all that there is room for
  builder.PutThread(0, 0, 0, "torn");                  // not yet written
  builder.PutThread(100, 0, 100, "app");
  builder.PutThread(101, 2, 200, "");
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.threads_seen, 5U);
  EXPECT_EQ(recording.threads_at_most, 3U);
  ASSERT_THAT(recording.threads, SizeIs(3));
  EXPECT_EQ(recording.threads[0].id, 100U);
  EXPECT_EQ(recording.threads[0].name, "app");
  EXPECT_EQ(recording.threads[1].ordinal, 2U);
  EXPECT_EQ(recording.threads[1].name, "");
  EXPECT_EQ(recording.threads[2].first_seen_ns, 300U);
  EXPECT_EQ(recording.threads[2].name, "pool-worker-name");
}

TEST(Reader, ReadsHowTheFileWasKept) {
  RecordingBuilder builder;
  EXPECT_EQ(Parse(builder).keeping, model::Keeping::kMapped);
  builder.header().keeping = static_cast<uint32_t>(wire::Keeping::kAsked);
  builder.header().write_pause_ns = 2000;
  builder.header().write_longest_ns = 30;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.keeping, model::Keeping::kAsked);
  EXPECT_EQ(recording.write_pause_ns, 2000U);
  EXPECT_EQ(recording.write_longest_ns, 30U);
  for (const uint32_t another : {1U, 3U, UINT32_MAX}) {
    builder.header().keeping = another;
    EXPECT_EQ(Parse(builder).keeping, model::Keeping::kWritten) << "whatever it is, it is not mapped";
  }
}

// What a file that is written has of its events, by the moment of its header and how far it says
// they reach.
model::Recording WithEventsUpTo(uint64_t complete_ns, wire::Keeping keeping,
                                wire::ProcessEnd end = wire::ProcessEnd::kRunning) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 0x10}});
  builder.Allocate({.stack = stack, .address = 0x1000, .size = 100, .time_ns = 2'000'000'000});
  builder.Allocate({.stack = stack, .address = 0x2000, .size = 100, .time_ns = 3'000'000'000});
  builder.Free(0x1000, 5'000'000'000);
  builder.header().keeping = static_cast<uint32_t>(keeping);
  builder.header().last_event_ns = 4'000'000'000;
  builder.header().events_complete_ns = complete_ns;
  builder.header().process_end = static_cast<uint32_t>(end);
  builder.header().process_end_ns = end == wire::ProcessEnd::kRunning ? 0 : 3'500'000'000;
  return Parse(builder);
}

TEST(Reader, EventsThatReachLessFarThanTheLiveSetTellNothingOfBefore) {
  constexpr auto kWritten = wire::Keeping::kWritten;
  const uint64_t begin = WithEventsUpTo(0, wire::Keeping::kMapped).events_complete_from_ns;
  EXPECT_LT(begin, 4'000'000'000U);
  EXPECT_EQ(WithEventsUpTo(3'999'999'999, kWritten).events_complete_from_ns, 4'000'000'000U);
  EXPECT_EQ(WithEventsUpTo(3'999'999'999, kWritten).events_complete_to_ns, 3'999'999'999U);
  EXPECT_EQ(WithEventsUpTo(4'000'000'000, kWritten).events_complete_from_ns, begin);
  EXPECT_EQ(WithEventsUpTo(3'999'999'999, wire::Keeping::kMapped).events_complete_from_ns, begin);
  EXPECT_EQ(WithEventsUpTo(0, kWritten).events_complete_from_ns, begin)
      << "older writers had no such word";
  EXPECT_EQ(
      WithEventsUpTo(3'600'000'000, kWritten, wire::ProcessEnd::kExited).events_complete_from_ns,
      begin)
      << "the last writing was at the end, and other threads went on";
  EXPECT_EQ(
      WithEventsUpTo(3'400'000'000, kWritten, wire::ProcessEnd::kExited).events_complete_from_ns,
      4'000'000'000U);
}

TEST(Reader, EventsYoungerThanTheTablesOfAWrittenFileNameNoStackOfTheirs) {
  for (const bool written : {false, true}) {
    RecordingBuilder builder;
    const uint32_t stack = builder.AddStack({{0, 0x10}});
    builder.Allocate({.stack = stack, .address = 0x1000, .size = 100, .time_ns = 2'000'000'000});
    builder.Free(0x1000, 3'000'000'000);
    builder.PutEvent({.time_ns = 4'000'000'000,
                      .address = 0x2000,
                      .size = 100,
                      .allocated_ns = 0,
                      .weight = 1,
                      .stack = 77,
                      .thread = 1,
                      .interval = 1,
                      .kind = static_cast<uint8_t>(wire::EventKind::kAllocate),
                      .domain = 0,
                      .reserved = 0,
                      .check = 0});
    builder.header().last_event_ns = 2'500'000'000;
    if (written) builder.header().keeping = static_cast<uint32_t>(wire::Keeping::kWritten);
    const model::Recording recording = Parse(builder);
    ASSERT_THAT(recording.events, SizeIs(3));
    EXPECT_EQ(recording.events[0].stack.value, stack);
    EXPECT_EQ(recording.events[1].stack.value, stack)
        << "freed later, but of a block that the tables know";
    EXPECT_EQ(recording.events[2].stack.value, wire::kUnknownStack);
    EXPECT_EQ(recording.warnings.empty(), written);
  }
}

TEST(Reader, WhatIsYoungerThanTheTablesOfAWrittenFileIsNotDamagedIfItNamesWhatIsNotThere) {
  for (const uint64_t time_ns : {uint64_t{2'000'000'000}, uint64_t{3'000'000'000}}) {
    for (const bool written : {false, true}) {
      RecordingBuilder builder;
      const uint32_t stack = builder.AddStack({{0, 0x10}}, wire::Domain::kMalloc, 0, time_ns);
      builder.stack(stack).native_leaf = 77;
      builder.Allocate({.stack = stack, .address = 0x1000, .size = 100, .time_ns = time_ns});
      wire::LiveRecord live = {};
      live.address = 0x2000;
      live.size = 100;
      live.time_ns = time_ns;
      live.weight = 1;
      live.interval = 1;
      live.stack = 88;
      builder.PutLive(live);
      builder.header().last_event_ns = 2'500'000'000;
      if (written) builder.header().keeping = static_cast<uint32_t>(wire::Keeping::kWritten);
      const model::Recording recording = Parse(builder);
      ASSERT_THAT(recording.live_blocks, SizeIs(2));
      EXPECT_EQ(recording.live_blocks[1].stack.value, wire::kUnknownStack);
      EXPECT_EQ(recording.CheckValid(), "");
      EXPECT_THAT(recording.warnings, SizeIs(written && time_ns > 2'500'000'000 ? 0 : 2));
    }
  }
}

TEST(Reader, ReadsARecordingWithoutThreads) {
  const model::Recording recording = Parse(RecordingBuilder());
  EXPECT_THAT(recording.threads, IsEmpty());
  EXPECT_EQ(recording.threads_at_most, 0U);
}

TEST(ReadHistory, PutsPointsInOrderAndLeavesOutWhatWasMergedIntoALaterOne) {
  const model::Recording recording = Parse(heapecho::testing::HistoryRecording());
  EXPECT_EQ(recording.CheckValid(), "");
  ASSERT_EQ(recording.history.size(), 2u);
  const model::HistoryPoint& merged = recording.history[0];
  EXPECT_EQ(merged.time_ns, 1'250'000'000u);
  // The point at 1.1 s lies in the time that this one covers: a kill left it there.
  EXPECT_EQ(merged.from_ns, 1'050'000'000u);
  EXPECT_EQ(merged.merged, 3u);
  EXPECT_EQ(merged.rss_most, 4'000'000u);
  // A stack that is not there is told, and what it held counts as unlisted.
  const model::HistoryPoint& last = recording.history[1];
  EXPECT_EQ(last.stacks.size(), 2u);
  EXPECT_EQ(last.unlisted_live, 1);
  EXPECT_THAT(recording.warnings, ElementsAre(::testing::HasSubstr("name a stack that is not there")));
}

}  // namespace
}  // namespace heapecho::reader

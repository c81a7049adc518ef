// SPDX-License-Identifier: Apache-2.0
// Python frames and code as they are read, whole and damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "analyzer/reader/reader.h"
#include "tests/support/recording_builder.h"

namespace heapecho::reader {
namespace {

using ::heapecho::testing::RecordingBuilder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

model::Recording Parse(const RecordingBuilder& builder) {
  absl::StatusOr<model::Recording> recording = ParseRecording(builder.Build(), "test");
  EXPECT_TRUE(recording.ok()) << recording.status();
  if (!recording.ok()) return {};
  EXPECT_EQ(recording->CheckValid(), "");
  return *std::move(recording);
}

// "view@4,main@2": a stack's Python frames, innermost first; "|" behind the outermost of a group.
std::string PythonFrames(const model::Recording& recording, uint32_t stack) {
  std::string text;
  for (uint32_t at = recording.stacks[stack].python_leaf; at != 0;
       at = recording.python_nodes[at].parent) {
    const model::PythonNode& node = recording.python_nodes[at];
    text += (text.empty() ? "" : ",") + recording.python_code[node.code].name + "@" +
            std::to_string(node.instruction) + (node.group_entry ? "|" : "");
  }
  return text;
}

// Code 1 is main, 2 is view; Python nodes 1, 2, 3; stack 1.
RecordingBuilder OneStack() {
  RecordingBuilder builder;
  const uint32_t main =
      builder.AddCode("main", "/srv/app.py", 3, wire::LineTable::kLocations, "\x80\x01");
  const uint32_t view = builder.AddCode("View.get", "/srv/views.py", 40, wire::LineTable::kLnotab);
  builder.AddMixedStack({{0, 0x10, true}, {0, 0x20}, {0, 0x30, true}, {0, 0x40}},
                        {{main, 2}, {view, 4}, {view, 6, false}});
  return builder;
}

TEST(PythonFrames, AreReadWithTheirCodeAndTheirGroups) {
  const model::Recording recording = Parse(OneStack());
  EXPECT_THAT(recording.warnings, IsEmpty());
  EXPECT_EQ(PythonFrames(recording, 1), "View.get@6,View.get@4|,main@2|");
  ASSERT_THAT(recording.python_code, SizeIs(3));
  EXPECT_EQ(recording.python_code[1].file, "/srv/app.py");
  EXPECT_EQ(recording.python_code[1].first_line, 3);
  EXPECT_EQ(recording.python_code[1].table, model::LineTable::kLocations);
  EXPECT_EQ(recording.python_code[1].table_bytes, "\x80\x01");
  EXPECT_EQ(recording.python_code[2].table, model::LineTable::kLnotab);
}

TEST(PythonFrames, StandBesideNativeOnesThatSayWherePythonRan) {
  const model::Recording recording = Parse(OneStack());
  std::vector<bool> evaluates;
  for (uint32_t at = recording.stacks[1].native_leaf; at != 0;
       at = recording.native_nodes[at].parent) {
    evaluates.push_back(recording.native_nodes[at].evaluates_python);
    EXPECT_EQ(recording.native_nodes[at].address >> 8, 0U);
  }
  EXPECT_THAT(evaluates, ElementsAre(false, true, false, true));
}

TEST(PythonFrames, BeforeTheirFirstInstructionHaveNone) {
  RecordingBuilder builder;
  const uint32_t code = builder.AddCode("f", "f.py", 1);
  builder.AddMixedStack({{0, 0x10, true}}, {{code, wire::kNoInstruction}});
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.python_nodes[1].instruction, model::PythonNode::kNoInstruction);
  EXPECT_TRUE(recording.python_nodes[1].group_entry);
}

TEST(PythonFrames, AreNoneInARecordingWithoutPython) {
  RecordingBuilder builder;
  builder.AddStack({{0, 0x10}});
  const model::Recording recording = Parse(builder);
  EXPECT_THAT(recording.python_nodes, IsEmpty());
  EXPECT_THAT(recording.python_code, IsEmpty());
  EXPECT_EQ(recording.stacks[1].python_leaf, 0U);
  EXPECT_EQ(recording.identity.python_version, "");
}

TEST(PythonIdentity, IsTheVersionAndWhatBecameOfTheWalk) {
  RecordingBuilder builder;
  builder.AddIdentity(wire::IdentityKey::kPython, "3.11.7");
  builder.AddIdentity(wire::IdentityKey::kPythonWalk, "native-only: no self-check passed");
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.identity.python_version, "3.11.7");
  EXPECT_EQ(recording.identity.python_walk, "native-only: no self-check passed");
}

TEST(PythonFrames, OfCodeThatIsNotListedHaveNoName) {
  RecordingBuilder builder = OneStack();
  builder.python_node(2).location_low = 77;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(PythonFrames(recording, 1), "View.get@6,@4|,main@2|");
  EXPECT_THAT(recording.warnings,
              ElementsAre(HasSubstr("1 Python frames are of code that is not")));
}

TEST(PythonFrames, OfCodeForWhichTheListHadNoRoomAreNoDamage) {
  RecordingBuilder builder = OneStack();
  builder.python_node(2).location_low = 0;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(PythonFrames(recording, 1), "View.get@6,@4|,main@2|");
  EXPECT_THAT(recording.warnings, IsEmpty());
}

TEST(PythonFrames, InACircleEndSomewhere) {
  RecordingBuilder builder = OneStack();
  builder.python_node(1).parent = 3;
  const model::Recording recording = Parse(builder);
  EXPECT_TRUE(recording.stacks[1].broken);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("in a circle")));
}

TEST(PythonFrames, WhoseCallerIsNotThereAreTheOutermost) {
  for (const uint32_t parent : {4U, 1000U, 0xffffffffU}) {
    RecordingBuilder builder = OneStack();
    builder.python_node(2).parent = parent;
    const model::Recording recording = Parse(builder);
    EXPECT_EQ(PythonFrames(recording, 1), "View.get@6,View.get@4|");
    EXPECT_TRUE(recording.stacks[1].broken);
    EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("a caller that is not there")));
  }
}

TEST(PythonFrames, DeeperThanStacksCanBeAreCut) {
  RecordingBuilder builder;
  const uint32_t code = builder.AddCode("f", "f.py", 1);
  std::vector<RecordingBuilder::PythonFrame> frames;
  for (uint32_t i = 0; i <= model::kMaxFrames; ++i) frames.push_back({code, 2 * i});
  builder.AddMixedStack({{0, 0x10, true}}, frames);
  const model::Recording recording = Parse(builder);
  EXPECT_TRUE(recording.stacks[1].broken);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("deeper than stacks can be")));
}

TEST(PythonFrames, ThatAStackNamesWithoutTheirBeingThereAreLeftOut) {
  for (const uint32_t leaf : {4U, 0xffffffffU}) {
    RecordingBuilder builder = OneStack();
    builder.stack(1).python_leaf = leaf;
    const model::Recording recording = Parse(builder);
    EXPECT_EQ(recording.stacks[1].python_leaf, 0U);
    EXPECT_NE(recording.stacks[1].native_leaf, 0U);
    EXPECT_TRUE(recording.stacks[1].broken);
    EXPECT_THAT(recording.warnings,
                ElementsAre(HasSubstr("name Python frames that are not there")));
  }
}

TEST(PythonFrames, OfTheUnknownStackAreNone) {
  RecordingBuilder builder = OneStack();
  builder.stack(0).python_leaf = 2;
  builder.stack(0).behalf_leaf = 2;
  EXPECT_EQ(Parse(builder).stacks[0].python_leaf, 0U);
  EXPECT_EQ(Parse(builder).stacks[0].behalf_leaf, 0U);
}

TEST(Behalf, IsReadAndLeftOutWhereItIsNotThere) {
  RecordingBuilder builder = OneStack();
  builder.stack(1).behalf_leaf = 2;
  EXPECT_EQ(Parse(builder).stacks[1].behalf_leaf, 2U);
  builder.stack(1).behalf_leaf = 4;
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.stacks[1].behalf_leaf, 0U);
  EXPECT_NE(recording.stacks[1].python_leaf, 0U);
  EXPECT_TRUE(recording.stacks[1].broken);
  EXPECT_THAT(recording.warnings,
              ElementsAre(HasSubstr("name Python frames that are not there")));
}

TEST(PythonCode, ThatIsThereTwiceIsTheFirst) {
  RecordingBuilder builder = OneStack();
  wire::CodeRecord record = {};
  record.length = sizeof record + 8;
  record.id = 1;
  record.name_length = 5;
  builder.PutCodeBytes(std::string(reinterpret_cast<const char*>(&record), sizeof record));
  builder.PutCodeBytes(std::string("other\0\0\0", 8));
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(PythonFrames(recording, 1), "View.get@6,View.get@4|,main@2|");
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("code objects are there twice")));
}

TEST(PythonCode, BehindAPlaceThatWasNeverWrittenIsFound) {
  RecordingBuilder builder;
  builder.PutCodeBytes(std::string(48, '\0'));
  const uint32_t code = builder.AddCode("f", "f.py", 1);
  builder.AddMixedStack({{0, 0x10, true}}, {{code, 2}});
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(PythonFrames(recording, 1), "f@2|");
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("list of Python code are damaged")));
}

TEST(PythonCode, WhoseLengthsDisagreeIsLeftOut) {
  const auto with = [](auto change) {
    RecordingBuilder builder;
    wire::CodeRecord record = {};
    record.length = sizeof record + 8;
    record.id = 9;
    record.name_length = 4;
    record.file_length = 4;
    change(record);
    builder.PutCodeBytes(std::string(reinterpret_cast<const char*>(&record), sizeof record));
    builder.PutCodeBytes("abcdefgh");
    builder.AddMixedStack({{0, 0x10, true}}, {{9, 2}});
    return PythonFrames(Parse(builder), 1);
  };
  EXPECT_EQ(with([](wire::CodeRecord&) {}), "abcd@2|");
  EXPECT_EQ(with([](wire::CodeRecord& r) { r.length = 0; }), "@2|");
  EXPECT_EQ(with([](wire::CodeRecord& r) { r.length = sizeof r; }), "@2|");
  EXPECT_EQ(with([](wire::CodeRecord& r) { r.length = sizeof r + 7; }), "@2|");
  EXPECT_EQ(with([](wire::CodeRecord& r) { r.length = 0xfffffff8; }), "@2|");
  EXPECT_EQ(with([](wire::CodeRecord& r) { r.name_length = 5; }), "@2|");
  EXPECT_EQ(with([](wire::CodeRecord& r) { r.table_length = 0xffffffff; }), "@2|");
  EXPECT_EQ(with([](wire::CodeRecord& r) { r.id = 0; }), "@2|");
}

TEST(PythonCode, WithALineTableOfAnUnknownKindHasNoLines) {
  RecordingBuilder builder;
  const uint32_t code = builder.AddCode("f", "f.py", 1, static_cast<wire::LineTable>(200), "xy");
  builder.AddMixedStack({{0, 0x10, true}}, {{code, 2}});
  const model::Recording recording = Parse(builder);
  EXPECT_EQ(recording.python_code[1].table, model::LineTable::kNone);
  EXPECT_THAT(recording.warnings, ElementsAre(HasSubstr("line table of an unknown kind")));
}

TEST(PythonCode, ThatEndsWithTheFileIsCutOff) {
  const std::vector<uint8_t> whole = OneStack().Build();
  for (size_t size = wire::kHeaderSize; size < whole.size(); size += 17) {
    const absl::StatusOr<model::Recording> recording =
        ParseRecording(absl::MakeConstSpan(whole).first(size), "test");
    ASSERT_TRUE(recording.ok());
    ASSERT_EQ(recording->CheckValid(), "") << size;
    EXPECT_THAT(recording->warnings, Contains(HasSubstr("cut off")));
  }
}

}  // namespace
}  // namespace heapecho::reader

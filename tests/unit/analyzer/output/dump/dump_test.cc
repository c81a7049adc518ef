// SPDX-License-Identifier: Apache-2.0
// A recording as text: the whole of a small one, and the traps that single values set.
#include "analyzer/output/dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "analyzer/reader/reader.h"
#include "tests/support/recording_builder.h"
#include "tests/support/sample_recordings.h"

namespace heapecho::output {
namespace {

using ::testing::HasSubstr;

std::string DumpOf(const testing::RecordingBuilder& builder) {
  const absl::StatusOr<model::Recording> recording =
      reader::ParseRecording(builder.Build(), "small.heapecho");
  EXPECT_TRUE(recording.ok()) << recording.status();
  return Dump(*recording);
}

TEST(Dump, OfASmallRecordingIsItsGolden) {
  std::ifstream file(HEAPECHO_GOLDEN_DIR "/dump/every_record_of_a_small_recording.txt");
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(DumpOf(testing::SmallRecording()), golden.str());
}

TEST(Dump, ShowsPythonFramesBehindTheNativeOnes) {
  testing::RecordingBuilder builder;
  builder.AddIdentity(wire::IdentityKey::kPython, "3.11.7");
  const uint32_t code =
      builder.AddCode("View.get", "/srv/my views.py", 40, wire::LineTable::kLocations, "\x80\x01");
  builder.AddMixedStack({{0, 0x10, true}, {0, 0x20}},
                        {{code, 4}, {7, wire::kNoInstruction, false}});
  const std::string text = DumpOf(builder);
  EXPECT_THAT(text, HasSubstr("identity python=3.11.7\n"));
  EXPECT_THAT(text, HasSubstr("code index=1 name=View.get file=\"/srv/my views.py\" first_line=40 "
                              "table=locations table_bytes=8001\n"));
  EXPECT_THAT(text, HasSubstr("  frame 0x20\n  frame 0x10 evaluates\n"
                              "  python unknown\n  python code-1+4 entry\n"));
}

TEST(Dump, QuotesWhatWouldBreakALineOrAWord) {
  testing::RecordingBuilder builder;
  builder.AddIdentity(wire::IdentityKey::kNote, "two words\nand \"a\" line\xff");
  builder.SetCommand({"", "plain"});
  builder.AddModule("/srv/my app/a\tb.so", "", 0, 1);
  const std::string text = DumpOf(builder);
  EXPECT_THAT(text, HasSubstr("identity note=\"two words\\nand \\\"a\\\" line\\xff\"\n"));
  EXPECT_THAT(text, HasSubstr("identity argument=\"\"\nidentity argument=plain\n"));
  EXPECT_THAT(text, HasSubstr("path=\"/srv/my app/a\\tb.so\""));
}

TEST(Dump, SaysWhetherTheFileWasWritten) {
  model::Recording recording;
  EXPECT_EQ(Dump(recording).find("written"), std::string::npos);
  recording.keeping = model::Keeping::kWritten;
  recording.write_pause_ns = 1000;
  recording.write_longest_ns = 20;
  recording.events_complete_to_ns = 7;
  EXPECT_NE(Dump(recording).find(
                "\nwritten why=file-system pause_ns=1000 longest_ns=20 events_complete_ns=7\n"),
            std::string::npos);
}

TEST(Dump, ShowsWarningsLast) {
  testing::RecordingBuilder builder;
  builder.AddStack({{9, 1}});
  const std::string text = DumpOf(builder);
  EXPECT_THAT(text, HasSubstr("  frame module-9+0x1\n"));
  EXPECT_EQ(text.substr(text.rfind('\n', text.size() - 2) + 1).rfind("warning text=\"1 modules", 0),
            0u);
}

TEST(Dump, ComesInPiecesThatMakeTheWhole) {
  const absl::StatusOr<model::Recording> recording = reader::ParseRecording(
      testing::LargeRecording({.stacks = 100, .live = 100, .events = 2000}).Build(), "large");
  ASSERT_TRUE(recording.ok());
  std::string joined;
  size_t largest = 0;
  Dump(*recording, [&](absl::string_view piece) {
    joined.append(piece.data(), piece.size());
    largest = std::max(largest, piece.size());
  });
  EXPECT_EQ(joined, Dump(*recording));
  EXPECT_LT(largest, joined.size() / 2);
}

}  // namespace
}  // namespace heapecho::output

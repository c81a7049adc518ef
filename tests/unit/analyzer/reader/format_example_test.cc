// SPDX-License-Identifier: Apache-2.0
// The example in preload/wire/FORMAT.md is a recording, byte for byte.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "analyzer/reader/reader.h"
#include "tests/support/sample_recordings.h"

namespace heapecho::reader {
namespace {

// Lines such as "00001004: 01 00                    key 1, the host": an offset, bytes, two spaces,
// words.
TEST(FormatDocument, ShowsTheBytesOfARealRecording) {
  const std::vector<uint8_t> bytes = heapecho::testing::TinyRecording().Build();
  std::ifstream document(HEAPECHO_FORMAT_DOCUMENT);
  ASSERT_TRUE(document.is_open());
  int lines = 0;
  for (std::string line; std::getline(document, line);) {
    if (line.size() < 9 || line[8] != ':' || line.find_first_not_of("0123456789abcdef") != 8)
      continue;
    ++lines;
    size_t offset = std::strtoul(line.c_str(), nullptr, 16);
    std::string shown = line.substr(9);
    if (const size_t words = shown.find("  "); words != shown.npos) shown.resize(words);
    std::istringstream digits(shown);
    for (std::string byte; digits >> byte; ++offset) {
      ASSERT_LT(offset, bytes.size()) << line;
      EXPECT_EQ(std::strtoul(byte.c_str(), nullptr, 16), bytes[offset]) << line;
    }
  }
  EXPECT_GT(lines, 60);
}

TEST(FormatDocument, ShowsARecordingThatReadsWithoutAWarning) {
  const absl::StatusOr<model::Recording> recording =
      ParseRecording(heapecho::testing::TinyRecording().Build(), "example");
  ASSERT_TRUE(recording.ok());
  EXPECT_TRUE(recording->warnings.empty());
  EXPECT_EQ(recording->identity.host, "web-1");
  EXPECT_EQ(recording->live_blocks.size(), 1u);
  EXPECT_EQ(recording->events.size(), 1u);
}

}  // namespace
}  // namespace heapecho::reader

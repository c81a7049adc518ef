// SPDX-License-Identifier: Apache-2.0
// The kept corpus, replayed by every compiler: each file once asked for something that the reader
// had to learn.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/exercise.h"

namespace heapecho::testing {
namespace {

TEST(Corpus, EachFileGivesARecordingOrAClearError) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(HEAPECHO_CORPUS_DIR)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty());
  Exerciser exerciser;
  for (const std::filesystem::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    EXPECT_EQ(exerciser.Run(bytes), "") << path;
  }
}

}  // namespace
}  // namespace heapecho::testing

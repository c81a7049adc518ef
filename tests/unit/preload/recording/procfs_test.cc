// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/procfs.h"

#include <unistd.h>

#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace heapecho::recording {
namespace {

TEST(ReadSmallFile, ReadsWhatFitsAndClosesIt) {
  char buffer[16];
  EXPECT_EQ(ReadSmallFile("/proc/self/cmdline", buffer, sizeof buffer), sizeof buffer - 1);
  EXPECT_EQ(buffer[sizeof buffer - 1], '\0');
}

TEST(ReadSmallFile, GivesNothingForWhatCannotBeRead) {
  char buffer[16] = "before";
  EXPECT_EQ(ReadSmallFile("/nowhere/at/all", buffer, sizeof buffer), 0u);
  EXPECT_STREQ(buffer, "");
}

TEST(Decimal, IsReadAndWritten) {
  for (uint64_t value : {uint64_t{0}, uint64_t{7}, uint64_t{4096}, UINT64_MAX}) {
    char text[24] = {};
    *FormatDecimal(text, value) = '\0';
    EXPECT_EQ(text, std::to_string(value));
    EXPECT_EQ(ParseDecimal(text), value);
  }
  const char* end = nullptr;
  EXPECT_EQ(ParseDecimal("12ab", &end), 12u);
  EXPECT_STREQ(end, "ab");
  EXPECT_EQ(ParseDecimal("max"), 0u);
}

}  // namespace
}  // namespace heapecho::recording

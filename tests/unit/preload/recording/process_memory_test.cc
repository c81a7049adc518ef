// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/process_memory.h"

#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::recording {
namespace {

TEST(ProcessMemory, IsReadOffTheStatusFile) {
  const ProcessMemory memory = ParseProcessMemory(
      "Name:\tVmSwap: 9\nVmHWM:\t    5000 kB\nVmRSS:\t    4096 kB\nRssAnon:\t    3000 kB\n"
      "RssFile:\t    1000 kB\nRssShmem:\t      96 kB\nVmSwap:\t       8 kB\nThreads:\t12\n");
  EXPECT_TRUE(memory.known);
  EXPECT_EQ(memory.rss_anon, 3000u << 10);
  EXPECT_EQ(memory.rss_file, 1000u << 10);
  EXPECT_EQ(memory.rss_shmem, 96u << 10);
  EXPECT_EQ(memory.swap, 8u << 10);
  EXPECT_EQ(memory.peak_rss, 5000u << 10);
  EXPECT_EQ(memory.threads, 12u);
}

TEST(ProcessMemory, OfAnOldKernelIsOneSum) {
  const ProcessMemory memory = ParseProcessMemory("VmRSS:\t    4096 kB\n");
  EXPECT_TRUE(memory.known);
  EXPECT_EQ(memory.rss_anon, 4096u << 10);
}

TEST(ProcessMemory, ThatCannotBeReadIsNotKnown) {
  EXPECT_FALSE(ParseProcessMemory("").known);
  EXPECT_FALSE(ParseProcessMemory("RssAnon").known);
}

TEST(ProcessMemory, OfThisProcessGrowsWithWhatItTouches) {
  char text[4096];
  const ProcessMemory before = ReadProcessMemory(text, sizeof text);
  ASSERT_TRUE(before.known);
  std::vector<char> block(64 << 20, 1);
  const ProcessMemory after = ReadProcessMemory(text, sizeof text);
  EXPECT_GE(after.rss_anon, before.rss_anon + (60u << 20));
  EXPECT_GE(after.peak_rss, after.rss_anon);
  EXPECT_EQ(after.threads, 1u);
}

}  // namespace
}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/cgroup_stat.h"

#include <gtest/gtest.h>

namespace heapecho::recording {
namespace {

TEST(CgroupStat, OfVersion2HasTheKernelsPartsApart) {
  CgroupStat stat = {};
  ParseCgroupStat(
      "anon 1000\nfile 2000\nkernel 300\nkernel_stack 40\npagetables 50\nsec_pagetables 7\npercpu "
      "1\n"
      "sock 60\nvmalloc 2\nshmem 500\nfile_mapped 9\ninactive_anon 8\ninactive_file 700\nslab 80\n",
      &stat);
  EXPECT_TRUE(stat.known);
  EXPECT_EQ(stat.anon, 1000u);
  EXPECT_EQ(stat.file, 2000u);
  EXPECT_EQ(stat.shmem, 500u);
  EXPECT_EQ(stat.inactive_file, 700u);
  EXPECT_EQ(stat.kernel, 300u);
  EXPECT_EQ(stat.kernel_stack, 40u);
  EXPECT_EQ(stat.page_tables, 50u);
  EXPECT_EQ(stat.sock, 60u);
  EXPECT_EQ(stat.slab, 80u);
}

TEST(CgroupStat, OfVersion1AreTheTotalsOverTheGroupsBelow) {
  CgroupStat stat = {};
  ParseCgroupStat(
      "cache 1\nrss 2\nshmem 3\ninactive_file 4\ntotal_cache 2000\ntotal_rss 1000\ntotal_rss_huge "
      "5\n"
      "total_shmem 500\ntotal_inactive_file 700\n",
      &stat);
  EXPECT_TRUE(stat.known);
  EXPECT_EQ(stat.anon, 1000u);
  EXPECT_EQ(stat.file, 2000u);
  EXPECT_EQ(stat.shmem, 500u);
  EXPECT_EQ(stat.inactive_file, 700u);
}

TEST(CgroupStat, OfNonsenseIsNotKnown) {
  for (const char* text : {"", "\n", "anon", "xanon 5\n"}) {
    CgroupStat stat = {};
    ParseCgroupStat(text, &stat);
    EXPECT_FALSE(stat.known) << text;
  }
}

}  // namespace
}  // namespace heapecho::recording

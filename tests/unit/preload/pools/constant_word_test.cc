// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/constant_word.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace heapecho::pools {
namespace {

constexpr size_t kPage = 4096;

// Asks the kernel to write there.
bool IsWritable(void* address) {
  const int zero = open("/dev/zero", O_RDONLY);
  const bool wrote = read(zero, address, 1) == 1;
  EXPECT_TRUE(wrote || errno == EFAULT);
  close(zero);
  return wrote;
}

TEST(ConstantWord, IsReplacedAndReadOnlyAgain) {
  auto* const words =
      static_cast<uintptr_t*>(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(words, MAP_FAILED);
  EXPECT_TRUE(ReplaceConstantWord(words + 7, 42));
  EXPECT_EQ(words[7], 42U);
  EXPECT_EQ(words[6], 0U);
  EXPECT_EQ(words[8], 0U);
  EXPECT_FALSE(IsWritable(words));
  munmap(words, kPage);
}

TEST(ConstantWord, IsLeftAloneWhereTheKernelRefuses) {
  void* const page = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  munmap(page, kPage);
  EXPECT_FALSE(ReplaceConstantWord(static_cast<uintptr_t*>(page), 42));
}

}  // namespace
}  // namespace heapecho::pools

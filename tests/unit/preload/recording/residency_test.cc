// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/residency.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>

namespace heapecho::recording {
namespace {

constexpr size_t kPage = 4096;

class PagemapReaderTest : public testing::Test {
 protected:
  static constexpr size_t kPages = 5000;  // more than one buffer's worth
  void SetUp() override {
    memory_ = static_cast<char*>(
        mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory_, MAP_FAILED);
    madvise(memory_, kPages * kPage, MADV_NOHUGEPAGE);
  }
  void TearDown() override { munmap(memory_, kPages * kPage); }
  uintptr_t start() const { return reinterpret_cast<uintptr_t>(memory_); }
  void Touch(size_t page) { memory_[page * kPage] = 1; }

  char* memory_ = nullptr;
  alignas(8) char buffer_[PagemapReader::kBufferSize];
};

TEST_F(PagemapReaderTest, CountsThePagesThatWereTouchedAndNoOthers) {
  for (const size_t page : {0, 7, 2047, 2048, 4999}) Touch(page);
  PagemapReader reader(buffer_);
  Residency residency = {};
  ASSERT_TRUE(reader.Read(start(), start() + kPages * kPage, UINT64_MAX, &residency));
  EXPECT_EQ(residency.present, 5 * kPage);
  EXPECT_EQ(residency.swapped, 0u);
  EXPECT_EQ(residency.next, start() + kPages * kPage);
}

TEST_F(PagemapReaderTest, StopsAtItsDeadlineAndGoesOnWhereItStopped) {
  for (size_t page = 0; page < kPages; page += 2) Touch(page);
  PagemapReader reader(buffer_);
  Residency residency = {};
  uintptr_t at = start();
  int readings = 0;
  for (; at < start() + kPages * kPage; at = residency.next, ++readings) {
    ASSERT_TRUE(reader.Read(at, start() + kPages * kPage, 0, &residency));
    ASSERT_GT(residency.next, at);
  }
  EXPECT_EQ(readings, 3);
  EXPECT_EQ(residency.present, kPages / 2 * kPage);
}

TEST_F(PagemapReaderTest, FindsNothingInAddressSpaceThatIsOnlyReserved) {
  mprotect(memory_, kPages * kPage, PROT_NONE);
  PagemapReader reader(buffer_);
  Residency residency = {};
  ASSERT_TRUE(reader.Read(start(), start() + kPages * kPage, UINT64_MAX, &residency));
  EXPECT_EQ(residency.present, 0u);
}

}  // namespace
}  // namespace heapecho::recording

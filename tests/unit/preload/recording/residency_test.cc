// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/residency.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
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

TEST_F(PagemapReaderTest, TellsWhatNobodyWroteToSinceAFork) {
  for (size_t page = 0; page < 10; ++page) Touch(page);
  const auto inherited = [this] {
    PagemapReader reader(buffer_, true);
    Residency residency = {};
    const bool read = reader.Read(start(), start() + kPages * kPage, UINT64_MAX, &residency);
    return read && residency.present == 10 * kPage ? residency.present_inherited / kPage : 99;
  };
  EXPECT_EQ(inherited(), 0u);
  const pid_t child = fork();
  if (child == 0) {
    for (size_t page = 0; page < 3; ++page) Touch(page);
    _exit(static_cast<int>(inherited()));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(inherited(), 0u) << "the other one is gone";
}

// Of address space in which hardly anything was touched, private and shared.
TEST_F(PagemapReaderTest, CountsTheFewPagesOfAnImmenseRange) {
  constexpr size_t kSpace = size_t{8} << 30;
  for (const int sharing : {MAP_PRIVATE, MAP_SHARED}) {
    void* const space = mmap(nullptr, kSpace, PROT_READ | PROT_WRITE,
                             sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(space, MAP_FAILED);
    madvise(space, kSpace, MADV_NOHUGEPAGE);
    const auto start = reinterpret_cast<uintptr_t>(space);
    for (const size_t page :
         {size_t{0}, size_t{1}, size_t{3}, kSpace / kPage / 2, kSpace / kPage - 1}) {
      static_cast<volatile char*>(space)[page * kPage] = 1;
    }
    PagemapReader reader(buffer_);
    Residency residency = {};
    ASSERT_TRUE(reader.Read(start, start + kSpace, UINT64_MAX, &residency));
    EXPECT_EQ(residency.present, 5 * kPage);
    EXPECT_EQ(residency.present_private, sharing == MAP_PRIVATE ? 5 * kPage : 0);
    EXPECT_EQ(residency.swapped, 0u);
    EXPECT_EQ(residency.next, start + kSpace);
    munmap(space, kSpace);
  }
}

// Of every range of this process, after some were cut, moved and given back. Read first, then gone
// through without an allocation, so that nothing is touched meanwhile but a page of the stack.
TEST_F(PagemapReaderTest, AgreesWithSmapsWithinAPageForEveryRange) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory changes while it is read";
#endif
  for (size_t page = 0; page < kPages; page += 3) Touch(page);
  munmap(memory_ + 1000 * kPage, 100 * kPage);
  madvise(memory_ + 2000 * kPage, 500 * kPage, MADV_DONTNEED);
  void* const shared =
      mmap(nullptr, 600 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  std::memset(shared, 1, 300 * kPage);
  void* const moved = mremap(memory_ + 3000 * kPage, 400 * kPage, 900 * kPage, MREMAP_MAYMOVE);
  std::memset(moved, 1, 700 * kPage);

  static char text[1 << 20];
  std::memset(text, 1, sizeof text);
  PagemapReader reader(buffer_);
  size_t ranges = 0, wrong = 0;
  for (int round = 0; round < 2; ++round) {  // the first one brings the code in
    const int file = open("/proc/self/smaps", O_RDONLY);
    size_t length = 0;
    for (ssize_t got; (got = read(file, text + length, sizeof text - 1 - length)) > 0;)
      length += static_cast<size_t>(got);
    close(file);
    text[length] = '\0';
    ASSERT_LT(length, sizeof text - 1);
    uintptr_t start = 0, end = 0;
    ranges = wrong = 0;
    for (const char* line = text; *line != '\0'; line = std::strchr(line, '\n') + 1) {
      unsigned long low, high, resident;
      if (std::sscanf(line, "%lx-%lx ", &low, &high) == 2) {
        start = low;
        end = high;
      } else if (std::sscanf(line, "Rss: %lu", &resident) == 1 && end < uintptr_t{1} << 47) {
        Residency residency = {};
        ASSERT_TRUE(reader.Read(start, end, UINT64_MAX, &residency));
        const auto difference =
            static_cast<int64_t>(residency.present) - static_cast<int64_t>(resident << 10);
        wrong +=
            difference > static_cast<int64_t>(kPage) || -difference > static_cast<int64_t>(kPage);
        ++ranges;
      }
    }
  }
  EXPECT_GT(ranges, 10u);
  EXPECT_EQ(wrong, 0u);
  munmap(shared, 600 * kPage);
  munmap(moved, 900 * kPage);
}

}  // namespace
}  // namespace heapecho::recording

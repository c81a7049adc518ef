// SPDX-License-Identifier: Apache-2.0
#include "preload/base/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::base {
namespace {

// How many pages of the mapping's file the kernel keeps in memory.
size_t PagesInMemory(void* mapping, size_t bytes) {
  std::vector<unsigned char> pages(bytes / kPageSize);
  EXPECT_EQ(mincore(mapping, bytes, pages.data()), 0);
  return static_cast<size_t>(std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; }));
}

// A recording is sparse, and what of it is in memory counts in the program's control group.
TEST(MapShared, OnlyThePagesThatAreAskedForComeIntoMemory) {
  std::string name = testing::TempDir() + "memory_test_XXXXXX";
  const int fd = mkstemp(name.data());
  ASSERT_GE(fd, 0);
  unlink(name.c_str());
  constexpr size_t kBytes = 64 << 20;
  constexpr size_t kChunk = 64 << 10;
  ASSERT_EQ(ftruncate(fd, kBytes), 0);
  auto* const mapping = static_cast<char*>(MapShared(fd, kBytes));
  ASSERT_NE(mapping, nullptr);
  constexpr size_t kChunks = 4;
  for (size_t i = 0; i < kChunks; ++i) {
    const int error = PopulateShared(mapping + i * (kBytes / kChunks) + kChunk, kChunk);
    if (error == EINVAL) GTEST_SKIP() << "no MADV_POPULATE_WRITE: Linux before 5.14";
    ASSERT_EQ(error, 0);
  }
  EXPECT_EQ(PagesInMemory(mapping, kBytes), kChunks * kChunk / kPageSize);
  munmap(mapping, kBytes);
  close(fd);
}

// Where the system gives huge pages to all that do not object, a table would take 2 MiB for its first byte.
TEST(MapPrivate, ObjectsToHugePages) {
  constexpr size_t kBytes = 8 << 20;
  void* const memory = MapPrivate(kBytes, "memory_test");
  ASSERT_NE(memory, nullptr);
  std::ifstream smaps("/proc/self/smaps");
  std::ostringstream start;
  start << std::hex << reinterpret_cast<uintptr_t>(memory) << '-';
  std::string line;
  while (std::getline(smaps, line) && !line.starts_with(start.str())) {
  }
  while (std::getline(smaps, line) && !line.starts_with("VmFlags:")) {
  }
  if (!line.starts_with("VmFlags:")) GTEST_SKIP() << "the kernel tells no VmFlags";
  EXPECT_NE((line + ' ').find(" nh "), std::string::npos) << line;
  Unmap(memory, kBytes);
}

}  // namespace
}  // namespace heapecho::base

// SPDX-License-Identifier: Apache-2.0
// Recordings as files: sparse ones, ones that cannot be read, ones that change meanwhile.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "analyzer/reader/reader.h"
#include "tests/support/recording_builder.h"
#include "tests/support/sample_recordings.h"

namespace heapecho::reader {
namespace {

using ::heapecho::testing::RecordingBuilder;
using ::heapecho::testing::SmallRecording;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class File : public ::testing::Test {
 protected:
  File() {
    std::string name = (std::filesystem::temp_directory_path() / "reader-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/a.heapecho";
  }
  ~File() override { std::filesystem::remove_all(directory_); }

  std::string directory_, path_;
};

TEST_F(File, SaysTheSameAsItsBytes) {
  const RecordingBuilder builder = SmallRecording();
  ASSERT_TRUE(builder.WriteFile(path_));
  const absl::StatusOr<model::Recording> recording = ReadRecording(path_);
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->file, path_);
  EXPECT_THAT(recording->warnings, IsEmpty());
  EXPECT_THAT(recording->live_blocks, SizeIs(3));
  EXPECT_THAT(recording->events, SizeIs(4));
  EXPECT_EQ(recording->file_bytes, builder.Build().size());
}

TEST_F(File, ThatDoesNotExistIsNamed) {
  const absl::Status status = ReadRecording(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), StartsWith(path_ + ": cannot be opened"));
}

TEST_F(File, ThatIsADirectoryOrAPipeIsRefused) {
  EXPECT_EQ(ReadRecording(directory_).status().message(), directory_ + ": is not a file");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(ReadRecording(path_).status().message(), path_ + ": is not a file");
}

// A recording's file is as long as its budget and mostly holes, whatever its sections claim to
// hold.
TEST_F(File, OfHolesIsNeitherReadNorKept) {
  RecordingBuilder builder = SmallRecording();
  const uint64_t huge = uint64_t{1} << 40;
  for (const auto kind : {wire::SectionKind::kNativeNodes, wire::SectionKind::kStacks,
                          wire::SectionKind::kLive, wire::SectionKind::kEvents}) {
    builder.Reserve(kind, huge);
  }
  ASSERT_TRUE(builder.WriteFile(path_));
  // All of it committed, and a last page of data at the far end of each.
  const int fd = open(path_.c_str(), O_RDWR);
  wire::FileHeader header;
  ASSERT_EQ(pread(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  for (wire::Section& section : header.sections) {
    section.committed = ~uint64_t{0};
    if (section.size < huge) continue;
    ASSERT_EQ(pwrite(fd, "x", 1, static_cast<off_t>(section.offset + section.size - 1)), 1);
  }
  ASSERT_EQ(pwrite(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  close(fd);

  const absl::StatusOr<model::Recording> recording = ReadRecording(path_);
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->CheckValid(), "");
  EXPECT_EQ(recording->live_blocks.size(), 3u);
  EXPECT_LT(recording->stacks.capacity() * sizeof(model::Stack), 1u << 20);
  EXPECT_LT(recording->native_nodes.capacity() * sizeof(model::Node), 1u << 20);
  EXPECT_LT(recording->live_blocks.capacity() * sizeof(model::LiveBlock), 1u << 20);
  EXPECT_LT(recording->events.capacity() * sizeof(model::Event), 1u << 20);
}

// A process goes on writing while its recording is read; records change under the reader, page 0
// too.
TEST_F(File, ThatIsBeingWrittenIsReadable) {
  RecordingBuilder builder;
  const uint32_t stack = builder.AddStack({{0, 1}, {0, 2}});
  for (uint64_t i = 1; i <= 4096; ++i) {
    builder.Allocate(
        {.stack = stack, .address = i << 12, .size = 100, .time_ns = 2'000'000'000 + i});
  }
  ASSERT_TRUE(builder.WriteFile(path_));
  const int fd = open(path_.c_str(), O_RDWR);
  const size_t size = std::filesystem::file_size(path_);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  ASSERT_NE(memory, MAP_FAILED);
  auto* bytes = static_cast<uint8_t*>(memory);
  wire::FileHeader header;
  std::memcpy(&header, bytes, sizeof header);
  uint64_t live_offset = 0;
  for (const wire::Section& section : header.sections) {
    if (section.kind == static_cast<uint32_t>(wire::SectionKind::kLive))
      live_offset = section.offset;
  }

  std::atomic<bool> done = false;
  std::thread writer([&] {
    auto* records = reinterpret_cast<wire::LiveRecord*>(bytes + live_offset);
    for (uint64_t round = 0; !done.load(); ++round) {
      const uint64_t slot = round % 4096;
      wire::LiveRecord record = {};
      std::memcpy(&record, &records[slot], sizeof record);
      record.size = 1 + round % 1000;
      __atomic_store_n(&records[slot].check, 0, __ATOMIC_SEQ_CST);
      __atomic_store_n(&records[slot].size, record.size, __ATOMIC_SEQ_CST);
      __atomic_store_n(&records[slot].check, wire::CheckOf(record, slot), __ATOMIC_SEQ_CST);
    }
  });
  for (int i = 0; i < 20; ++i) {
    const absl::StatusOr<model::Recording> recording = ReadRecording(path_);
    ASSERT_TRUE(recording.ok()) << recording.status();
    EXPECT_EQ(recording->CheckValid(), "");
    EXPECT_EQ(recording->live_blocks.size() + recording->torn_live, 4096u);
    EXPECT_LE(recording->torn_live, 20u);
  }
  done = true;
  writer.join();
  munmap(memory, size);
}

TEST_F(File, ThatShrinksWhileItIsReadRaisesNoSignal) {
  const RecordingBuilder builder =
      heapecho::testing::LargeRecording({.stacks = 200, .live = 200, .events = 5000});
  ASSERT_TRUE(builder.WriteFile(path_));
  std::atomic<bool> done = false;
  std::thread shrinker([&] {
    while (!done.load()) {
      ASSERT_EQ(truncate(path_.c_str(), 6000), 0);
      ASSERT_TRUE(builder.WriteFile(path_));
    }
  });
  int read = 0;
  for (int i = 0; i < 200; ++i) {
    const absl::StatusOr<model::Recording> recording = ReadRecording(path_);
    if (!recording.ok()) continue;  // seen between truncation and writing
    ++read;
    EXPECT_EQ(recording->CheckValid(), "");
  }
  done = true;
  shrinker.join();
  ASSERT_TRUE(ReadRecording(path_).ok());
  RecordProperty("read", read);
}

}  // namespace
}  // namespace heapecho::reader

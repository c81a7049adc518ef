// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/retention.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "preload/recording/identity.h"
#include "preload/wire/format.h"

namespace heapecho::recording {
namespace {

constexpr uint64_t kFileBytes = 64 << 10;

class Retention : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/retentionXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  struct Description {
    std::string name;
    uint64_t begun;
    wire::ProcessEnd end = wire::ProcessEnd::kExited;
    uint8_t id = 0, parent = 0;
    uint32_t pid = 0x7ffffff0;  // above any pid_max: a process that is over
    bool of_this_boot = true;
  };

  void Write(const Description& description) {
    wire::FileHeader header = {};
    IdentityScratch scratch;
    FillProcessWords(header, scratch);
    header.magic = wire::kMagic;
    header.begin_realtime_ns = description.begun;
    header.process_end = static_cast<uint32_t>(description.end);
    header.id[0] = description.id;
    header.parent_id[0] = description.parent;
    if (description.pid != static_cast<uint32_t>(getpid())) header.start_ticks = 1;
    header.pid = description.pid;
    if (!description.of_this_boot) header.boot_id[0] ^= 1;
    std::vector<char> bytes(kFileBytes, 'x');
    std::memcpy(bytes.data(), &header, sizeof header);
    const int fd = open((directory_ + "/" + description.name).c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    fsync(fd);  // or its blocks are not counted yet
    close(fd);
  }

  std::set<std::string> Left() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) names.insert(entry.path().filename());
    return names;
  }

  std::string directory_;
};

TEST_F(Retention, RemovesNothingWhileThereIsRoom) {
  Write({.name = "a.heapecho", .begun = 1, .id = 1});
  EXPECT_TRUE(MakeRoom(directory_.c_str(), 2 * kFileBytes));
  EXPECT_EQ(Left(), std::set<std::string>{"a.heapecho"});
}

TEST_F(Retention, RemovesTheOldestEndedFirstAndTheKilledLast) {
  Write({.name = "killed.heapecho", .begun = 1, .end = wire::ProcessEnd::kRunning, .id = 1});
  Write({.name = "old.heapecho", .begun = 2, .id = 2});
  Write({.name = "new.heapecho", .begun = 3, .id = 3});
  EXPECT_TRUE(MakeRoom(directory_.c_str(), 2 * kFileBytes));
  EXPECT_EQ(Left(), (std::set<std::string>{"killed.heapecho", "new.heapecho"}));
  EXPECT_TRUE(MakeRoom(directory_.c_str(), kFileBytes));
  EXPECT_EQ(Left(), std::set<std::string>{"killed.heapecho"});
  EXPECT_TRUE(MakeRoom(directory_.c_str(), kFileBytes - 1));
  EXPECT_EQ(Left(), std::set<std::string>{});
}

TEST_F(Retention, KeepsWhatMayBeAlive) {
  Write({.name = "here.heapecho", .begun = 1, .end = wire::ProcessEnd::kRunning, .id = 1,
         .pid = static_cast<uint32_t>(getpid())});
  Write({.name = "elsewhere.heapecho", .begun = 2, .end = wire::ProcessEnd::kRunning, .id = 2, .of_this_boot = false});
  EXPECT_FALSE(MakeRoom(directory_.c_str(), kFileBytes));
  EXPECT_EQ(Left(), (std::set<std::string>{"elsewhere.heapecho", "here.heapecho"}));
}

TEST_F(Retention, KeepsTheParentOfOneThatStays) {
  Write({.name = "parent.heapecho", .begun = 1, .id = 1});
  Write({.name = "child.heapecho", .begun = 2, .end = wire::ProcessEnd::kRunning, .id = 2, .parent = 1,
         .pid = static_cast<uint32_t>(getpid())});
  Write({.name = "other.heapecho", .begun = 3, .id = 3});
  EXPECT_TRUE(MakeRoom(directory_.c_str(), 2 * kFileBytes));
  EXPECT_EQ(Left(), (std::set<std::string>{"child.heapecho", "parent.heapecho"}));
  EXPECT_FALSE(MakeRoom(directory_.c_str(), kFileBytes));
}

TEST_F(Retention, TouchesNothingThatIsNotARecording) {
  Write({.name = "a.heapecho", .begun = 1, .id = 1});
  std::filesystem::copy(directory_ + "/a.heapecho", directory_ + "/notes.txt");
  std::filesystem::create_directory(directory_ + "/folder.heapecho");
  EXPECT_TRUE(MakeRoom(directory_.c_str(), 0));
  EXPECT_EQ(Left(), (std::set<std::string>{"folder.heapecho", "notes.txt"}));
}

}  // namespace
}  // namespace heapecho::recording

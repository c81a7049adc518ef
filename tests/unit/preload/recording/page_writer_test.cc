// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/page_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "preload/base/memory.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

constexpr size_t kPage = base::kPageSize;
constexpr uint64_t kLongNs = 1000000000000;

class PageWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/pagesXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/file";
  }
  void TearDown() override {
    std::filesystem::remove_all(directory_);
    base::Unmap(memory_, bytes_);
  }

  // The last word of the first page says up to when what follows is complete.
  void Attach(size_t pages, size_t tables) {
    bytes_ = pages * kPage;
    memory_ = static_cast<char*>(base::MapPrivate(bytes_, "test"));
    ASSERT_NE(memory_, nullptr);
    const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(ftruncate(fd, static_cast<off_t>(bytes_)), 0);
    ASSERT_TRUE(writer_->Attach(memory_, bytes_, tables * kPage, complete_to(), fd));
    close(fd);
  }

  void Store(size_t page, char value) {
    memset(memory_ + page * kPage, value, kPage);
    writer_->Changed(memory_ + page * kPage, kPage);
  }

  uint64_t* complete_to() const { return reinterpret_cast<uint64_t*>(memory_ + kPage - 8); }
  uint64_t CompleteToInTheFile() const {
    uint64_t word = 0;
    std::ifstream file(path_, std::ios::binary);
    file.seekg(kPage - 8).read(reinterpret_cast<char*>(&word), sizeof word);
    return word;
  }
  char FirstByteInTheFile() const {
    std::ifstream file(path_, std::ios::binary);
    return static_cast<char>(file.get());
  }

  // The next part, far enough on for one to be due. Whether a round ended with it.
  bool WriteNext() {
    const uint64_t now = ClockNs(CLOCK_MONOTONIC) + kLongNs;
    bool finished = false;
    EXPECT_EQ(writer_->WriteDue(path_.c_str(), now, &finished), 0);
    return finished;
  }

  std::string File() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::string Page(const std::string& file, size_t page) const {
    return file.substr(page * kPage, kPage);
  }

  std::string directory_, path_;
  char* memory_ = nullptr;
  size_t bytes_ = 0;
  std::unique_ptr<PageWriter> writer_ = std::make_unique<PageWriter>();
};

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

TEST_F(PageWriterTest, WritesWhatChangedAndNothingElse) {
  Attach(300, 1);
  for (const size_t page : {size_t{1}, size_t{2}, size_t{63}, size_t{64}, size_t{65}, size_t{299}})
    Store(page, 'c');
  memset(memory_ + 5 * kPage, 'x', kPage);  // not said to have changed
  ASSERT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), 0);
  const std::string file = File();
  ASSERT_EQ(file.size(), bytes_);
  for (size_t page = 1; page < 300; ++page) {
    const bool changed = page == 1 || page == 2 || (page >= 63 && page <= 65) || page == 299;
    EXPECT_EQ(Page(file, page), std::string(kPage, changed ? 'c' : '\0')) << page;
  }
}

TEST_F(PageWriterTest, WritesWhatLiesBetweenOnlyWhereMemoryIsWhole) {
  Attach(400, 200);
  memset(memory_ + kPage, 'b', bytes_ - kPage);
  for (const size_t page : {20, 25, 40, 100, 195, 203, 300, 302, 303}) {
    writer_->Changed(memory_ + page * kPage, kPage);
  }
  ASSERT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), 0);
  const std::string file = File();
  const auto is_written = [&](size_t page) { return Page(file, page) == std::string(kPage, 'b'); };
  for (const size_t page : {20, 25, 40, 100, 195, 203, 300, 302, 303})
    EXPECT_TRUE(is_written(page)) << page;
  for (const size_t page : {22, 24}) EXPECT_TRUE(is_written(page)) << "between: one write for two";
  for (const size_t page : {19, 26, 39, 41, 99, 101, 194}) EXPECT_FALSE(is_written(page)) << page;
  for (size_t page = 200; page < 400; ++page) {
    EXPECT_EQ(is_written(page), page == 203 || page == 300 || page == 302 || page == 303) << page;
  }
}

TEST_F(PageWriterTest, ABytesChangeIsItsPagesAcrossTheirBorderToo) {
  Attach(4, 4);
  memcpy(memory_ + 3 * kPage - 2, "edge", 4);
  writer_->Changed(memory_ + 3 * kPage - 2, 4);
  EXPECT_TRUE(writer_->IsChanged(memory_ + 2 * kPage, 1));
  EXPECT_FALSE(writer_->IsChanged(memory_ + kPage, kPage));
  ASSERT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), 0);
  EXPECT_FALSE(writer_->IsChanged(memory_, bytes_));
  EXPECT_EQ(File().substr(3 * kPage - 2, 4), "edge");
}

TEST_F(PageWriterTest, TheFirstPageComesLastInARound) {
  constexpr size_t kPages = 4000;
  Attach(kPages, kPages);
  for (size_t page = 0; page < kPages; ++page) Store(page, 'n');
  bool finished = false;
  for (size_t i = 0; !finished; ++i) {
    ASSERT_LT(i, kPages) << "each call gets on";
    finished = WriteNext();
    EXPECT_EQ(FirstByteInTheFile(), finished ? 'n' : '\0');
  }
  EXPECT_EQ(File().substr(kPage), std::string(bytes_ - kPage, 'n'));
}

TEST_F(PageWriterTest, ARoundDoesNotWaitForWhatFollows) {
  constexpr size_t kPages = 4000, kTables = 10;
  Attach(kPages, kTables);
  for (size_t round = 0; round < 3; ++round) {
    const char value = static_cast<char>('a' + round);
    for (size_t page = 0; page < kTables; ++page) Store(page, value);
    *complete_to() = 0;
    for (size_t page = kTables; page < kPages; ++page) Store(page, 'e');
    for (size_t i = 0; !WriteNext(); ++i) {
      ASSERT_LT(i, 3 * kTables) << "at least a write each, and a part of the events between rounds";
    }
    EXPECT_TRUE(writer_->IsChanged(memory_ + (kPages - 1) * kPage, kPage)) << "that is to come";
    EXPECT_EQ(FirstByteInTheFile(), value);
    for (size_t page = 1; page < kTables; ++page)
      EXPECT_EQ(Page(File(), page), std::string(kPage, value));
    EXPECT_EQ(CompleteToInTheFile(), 0U) << "it is not said to have what it has not";
  }
}

TEST_F(PageWriterTest, WhatFollowsIsSaidToBeCompleteWhenItIs) {
  constexpr size_t kPages = 4000, kTables = 10;
  Attach(kPages, kTables);
  for (size_t page = 1; page < kPages; ++page) Store(page, 'e');
  bool finished = false;
  size_t parts = 0;
  for (; CompleteToInTheFile() == 0; ++parts) {
    ASSERT_LT(parts, kPages) << "each call gets on";
    finished |= WriteNext();
  }
  EXPECT_TRUE(finished) << "not before the tables, so that nothing lies between the two";
  EXPECT_EQ(File().substr(kPage), std::string(bytes_ - kPage, 'e'));
  ASSERT_GT(parts, 1U) << "more than fits into one part";
}

TEST_F(PageWriterTest, WhatFollowsIsNotCompleteIfItWasOverwrittenMeanwhile) {
  constexpr size_t kPages = 4000;
  Attach(kPages, 1);
  Store(kPages - 1, 'e');
  const auto go_through = [&](bool overwritten) {
    for (size_t page = 1; page < kPages; ++page) Store(page, 'e');
    for (size_t part = 0; writer_->IsChanged(memory_ + kPage, bytes_ - kPage); ++part) {
      ASSERT_LT(part, 2 * kPages);
      WriteNext();
      if (overwritten) writer_->Overwritten();
    }
  };
  go_through(true);
  EXPECT_EQ(*complete_to(), 0U);
  go_through(false);
  for (size_t i = 0; i < 3; ++i) WriteNext();
  EXPECT_NE(CompleteToInTheFile(), 0U);
}

TEST_F(PageWriterTest, WhatFollowsHasAPartBetweenRoundsHoweverLongTheyTake) {
  constexpr size_t kPages = 6000, kTables = 2000;
  Attach(kPages, kTables);
  for (size_t round = 0; round < 3; ++round) {
    do {
      for (size_t page = 1; page < kPages; ++page) Store(page, 't');
    } while (!WriteNext());
    ASSERT_TRUE(writer_->IsChanged(memory_ + kTables * kPage, (kPages - kTables) * kPage));
    for (size_t page = 1; page < kTables; ++page) Store(page, 'n');
    const std::string before = File();
    EXPECT_FALSE(WriteNext());
    const std::string after = File();
    EXPECT_EQ(before.compare(0, kTables * kPage, after, 0, kTables * kPage), 0)
        << "the next round is due, and yet it has not begun";
  }
}

TEST_F(PageWriterTest, SaysThatAPauseAndTheTimeOfARoundMayBeLost) {
  constexpr size_t kPages = 4000;
  Attach(kPages, kPages);
  EXPECT_EQ(writer_->apart_ns(), PageWriter::kShortestPauseNs);
  for (size_t page = 1; page < kPages; ++page) Store(page, 'a');
  const uint64_t before = ClockNs(CLOCK_MONOTONIC);
  ASSERT_FALSE(WriteNext());
  const uint64_t begun = ClockNs(CLOCK_MONOTONIC);
  uint64_t last = begun;
  while (!WriteNext()) last = ClockNs(CLOCK_MONOTONIC);
  EXPECT_GE(writer_->apart_ns(), writer_->pause_ns() + (last - begun));
  EXPECT_LE(writer_->apart_ns(), writer_->pause_ns() + (ClockNs(CLOCK_MONOTONIC) - before));
}

TEST_F(PageWriterTest, WhoWritesEverythingSaysThatItIsComplete) {
  Attach(100, 10);
  for (size_t page = 1; page < 100; ++page) Store(page, 'e');
  ASSERT_EQ(writer_->WriteAll(path_.c_str(), 0), 0);
  EXPECT_EQ(CompleteToInTheFile(), 0U) << "there was no time";
  ASSERT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), 0);
  EXPECT_NE(CompleteToInTheFile(), 0U);
}

// The exit status was lost where another thread was in the middle of a round.
TEST_F(PageWriterTest, TheFirstPageOfARoundDoesNotReplaceTheLastWord) {
  constexpr size_t kPages = 4000;
  Attach(kPages, kPages);
  for (size_t page = 0; page < kPages; ++page) Store(page, 'n');
  ASSERT_FALSE(WriteNext());
  Store(0, 'z');
  ASSERT_EQ(writer_->WriteFirst(path_.c_str()), 0);
  for (size_t i = 0; !WriteNext(); ++i) ASSERT_LT(i, kPages);
  EXPECT_EQ(FirstByteInTheFile(), 'z');
  while (!WriteNext()) {
  }
  EXPECT_EQ(FirstByteInTheFile(), 'z');
}

TEST_F(PageWriterTest, BetweenRoundsThereIsAPause) {
  Attach(4, 4);
  Store(1, 'a');
  bool finished = false;
  ASSERT_EQ(writer_->WriteDue(path_.c_str(), 1, &finished), 0);
  ASSERT_TRUE(finished);
  Store(1, 'b');
  EXPECT_FALSE(writer_->IsDue(1));
  ASSERT_EQ(writer_->WriteDue(path_.c_str(), 1, &finished), 0);
  EXPECT_FALSE(finished);
  EXPECT_EQ(Page(File(), 1), std::string(kPage, 'a'));
  EXPECT_EQ(writer_->pause_ns(), PageWriter::kShortestPauseNs);
}

TEST_F(PageWriterTest, WhatIsStoredWhileItIsWrittenIsWrittenAgain) {
  constexpr size_t kPages = 64;
  constexpr uint64_t kStores = 20000;
  Attach(kPages, kPages);
  std::vector<std::thread> threads;
  std::atomic<int> running = 3;
  for (uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([this, t, &running] {
      for (uint64_t i = 1; i <= kStores; ++i) {
        auto* word = reinterpret_cast<uint64_t*>(memory_ + (1 + i % (kPages - 1)) * kPage) + t;
        __atomic_store_n(word, i, __ATOMIC_RELAXED);
        writer_->Changed(word, sizeof *word);
      }
      running.fetch_sub(1);
    });
  }
  while (running.load() != 0) ASSERT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), 0);
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), 0);
  EXPECT_EQ(File(), std::string(memory_, bytes_));
}

TEST_F(PageWriterTest, AnotherFileUnderItsNameIsNeverWrittenTo) {
  Attach(4, 4);
  Store(1, 'a');
  std::filesystem::rename(path_, path_ + ".moved");
  std::ofstream(path_) << "somebody's";
  bool finished;
  EXPECT_EQ(writer_->WriteDue(path_.c_str(), 1, &finished), ESTALE);
  EXPECT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), ESTALE);
  EXPECT_EQ(writer_->WriteFirst(path_.c_str()), ESTALE);
  EXPECT_EQ(File(), "somebody's");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(path_ + ".moved", path_);
  EXPECT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), ELOOP) << "nor is a link followed";
}

TEST_F(PageWriterTest, AFileThatIsGoneIsSaidToBe) {
  Attach(4, 4);
  Store(1, 'a');
  std::filesystem::remove(path_);
  EXPECT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), ENOENT);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(PageWriterTest, AFileLargerThanTheProcessMayWriteRaisesNoSignal) {
  Attach(4, 4);
  Store(3, 'a');
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit lower = before;
  lower.rlim_cur = 2 * kPage;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &lower), 0);
  const int error = writer_->WriteAll(path_.c_str(), kLongNs);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(error, EFBIG);
}

TEST_F(PageWriterTest, KeepsNoDescriptorAndNoSignalMask) {
  Attach(4, 4);
  Store(1, 'a');
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const size_t open = OpenDescriptors();
  bool finished;
  ASSERT_EQ(writer_->WriteDue(path_.c_str(), 1, &finished), 0);
  ASSERT_EQ(writer_->WriteAll(path_.c_str(), kLongNs), 0);
  ASSERT_EQ(writer_->WriteFirst(path_.c_str()), 0);
  EXPECT_EQ(OpenDescriptors(), open);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < 65; ++signal)
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal));
}

TEST_F(PageWriterTest, ThatIsZeroOrDetachedDoesNothing) {
  writer_->Changed(this, sizeof *this);
  EXPECT_EQ(writer_->WriteAll("/nowhere", kLongNs), 0);
  Attach(4, 4);
  writer_->Detach();
  writer_->Changed(this, sizeof *this);
  EXPECT_EQ(writer_->WriteAll("/nowhere", kLongNs), 0);
  EXPECT_FALSE(writer_->attached());
}

}  // namespace
}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/child_log.h"

#include <sys/wait.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "preload/recording/cgroup.h"
#include "preload/recording/notice.h"

namespace heapecho::recording {
namespace {

using Ring = ChildLog::Ring;

wire::ChildRecord RecordOf(int32_t pid, int32_t status = 9) {
  wire::ChildRecord record = {};
  record.pid = pid;
  record.status = status;
  record.kind = static_cast<uint32_t>(wire::ChildKind::kReaped);
  return record;
}

class Log : public testing::Test {
 protected:
  std::unique_ptr<ChildLog> log_ = std::make_unique<ChildLog>();
};

TEST_F(Log, KeepsWhatWasAddedInItsOrder) {
  const uint32_t first = log_->Add(Ring::kKills, RecordOf(1)),
                 second = log_->Add(Ring::kExits, RecordOf(2));
  wire::ChildRecord record;
  ASSERT_TRUE(log_->Look(first, &record));
  EXPECT_EQ(record.pid, 1);
  EXPECT_EQ(record.sequence, 1u);
  ASSERT_TRUE(log_->Look(second, &record));
  EXPECT_EQ(record.sequence, 2u);
  EXPECT_EQ(record.check, wire::CheckOf(record, second)) << "as the file has it";
}

TEST_F(Log, LetsManyExitsLeaveTheKillsAlone) {
  const uint32_t kill = log_->Add(Ring::kKills, RecordOf(77));
  std::set<uint32_t> slots;
  for (int i = 0; i < 5000; ++i) slots.insert(log_->Add(Ring::kExits, RecordOf(i)));
  EXPECT_FALSE(slots.contains(kill));
  wire::ChildRecord record;
  ASSERT_TRUE(log_->Look(kill, &record));
  EXPECT_EQ(record.pid, 77);
  for (const uint32_t slot : slots) EXPECT_LT(slot, ChildLog::kSlots);
}

TEST_F(Log, HasTheLatestOfARing) {
  uint32_t last = 0;
  for (int i = 1; i <= 3000; ++i) last = log_->Add(Ring::kKills, RecordOf(i));
  wire::ChildRecord record;
  ASSERT_TRUE(log_->Look(last, &record));
  EXPECT_EQ(record.pid, 3000);
}

TEST_F(Log, MarksACallThatFailedAndNoOtherThatTookItsSlot) {
  const uint32_t slot = log_->Add(Ring::kSignals, RecordOf(5));
  EXPECT_TRUE(log_->Signalled(5, 9));
  EXPECT_FALSE(log_->Signalled(5, 15));
  log_->MarkFailed(slot, log_->SequenceAt(slot) + 1);
  EXPECT_TRUE(log_->Signalled(5, 9));
  log_->MarkFailed(slot, log_->SequenceAt(slot));
  EXPECT_FALSE(log_->Signalled(5, 9));
}

TEST_F(Log, TakesAForkOnceAndForItsPidAlone) {
  log_->NoteFork(412, 98765);
  EXPECT_EQ(log_->TakeFork(412 + 1024), 0u) << "another child of that place in the table";
  EXPECT_EQ(log_->TakeFork(412), 98765u);
  EXPECT_EQ(log_->TakeFork(412), 0u);
  log_->NoteFork((1 << 22) - 1, uint64_t{1} << 41);
  EXPECT_EQ(log_->TakeFork((1 << 22) - 1), uint64_t{1} << 41);
}

TEST_F(Log, IsEmptyInAForkedChild) {
  const uint32_t slot = log_->Add(Ring::kKills, RecordOf(1));
  log_->NoteFork(1, 2);
  EXPECT_TRUE(log_->saw_kill());
  log_->Clear();
  wire::ChildRecord record;
  EXPECT_FALSE(log_->Look(slot, &record));
  EXPECT_FALSE(log_->saw_kill());
  EXPECT_EQ(log_->TakeFork(1), 0u);
}

TEST(OomKills, AreReadOffBothVersionsFiles) {
  uint64_t kills = 99;
  EXPECT_TRUE(ParseOomKills("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n", &kills));
  EXPECT_EQ(kills, 12u);
  EXPECT_TRUE(ParseOomKills("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n", &kills));
  EXPECT_EQ(kills, 2u);
  EXPECT_FALSE(ParseOomKills("oom_kill_disable 0\nunder_oom 0\n", &kills)) << "before Linux 4.13";
  EXPECT_FALSE(ParseOomKills("xoom_kill 5\n", &kills));
  EXPECT_FALSE(ParseOomKills("", &kills));
}

std::string NoticeOf(const wire::ChildRecord& record, bool signalled, const char* file,
                     size_t room = 1536, const TopLine& top = {}) {
  std::string line(room, '#');
  line.resize(FormatNotice(record, signalled, top, file, line.data(), room));
  return line;
}

TEST(Notice, SaysWhoAndHowAndAtHowMuch) {
  wire::ChildRecord record = RecordOf(412);
  record.max_rss = 2007 << 20;
  record.cgroup_limit = uint64_t{2} << 30;
  record.oom_kills_before = 3;
  record.oom_kills_after = 4;
  record.flags = wire::kOomKillsBeforeKnown | wire::kOomKillsAfterKnown;
  EXPECT_EQ(NoticeOf(record, false, "/d/f.heapecho"),
            "heapecho: worker 412 OOM-killed at 1.96 of 2.00 GiB; heapecho report /d/f.heapecho\n");
  record.oom_kills_after = 3;
  EXPECT_EQ(NoticeOf(record, false, "f"),
            "heapecho: worker 412 killed by SIGKILL at 1.96 of 2.00 GiB; heapecho report f\n");
  record.cgroup_limit = 0;
  EXPECT_EQ(
      NoticeOf(record, true, "f"),
      "heapecho: worker 412 killed by SIGKILL of its parent at 1.96 GiB; heapecho report f\n");
  record.max_rss = 0;
  record.status = 11;
  EXPECT_EQ(NoticeOf(record, false, ""),
            "heapecho: worker 412 killed by SIGSEGV; it left no recording\n");
}

TEST(Notice, SaysWhichLineHeldMost) {
  TopLine top = {.percent = 61, .line = 88, .file = "views.py", .function = "load"};
  EXPECT_EQ(NoticeOf(RecordOf(412), false, "f", 1536, top),
            "heapecho: worker 412 killed by SIGKILL; 61 % views.py:88 load(); heapecho report f\n");
  top.line = 0;
  EXPECT_EQ(NoticeOf(RecordOf(412), false, "f", 1536, top),
            "heapecho: worker 412 killed by SIGKILL; 61 % views.py load(); heapecho report f\n");
}

TEST(Notice, IsNeverLongerThanItsRoomAndEndsItsLine) {
  const std::string file(3000, 'f');
  for (const size_t room : {size_t{20}, size_t{64}, size_t{1536}}) {
    const std::string line = NoticeOf(RecordOf(412), false, file.c_str(), room);
    EXPECT_EQ(line.size(), room);
    EXPECT_EQ(line.back(), '\n');
  }
}

TEST(Notice, CallsNoCountOfWhichOneSideIsUnknownAnOomKill) {
  wire::ChildRecord record = RecordOf(412);
  record.oom_kills_after = 4;
  record.flags = wire::kOomKillsAfterKnown;
  EXPECT_EQ(NoticeOf(record, false, "f"),
            "heapecho: worker 412 killed by SIGKILL; heapecho report f\n");
}

}  // namespace
}  // namespace heapecho::recording

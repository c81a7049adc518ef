// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/aggregator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "tests/unit/analyzer/aggregator/recordings.h"

namespace heapecho::aggregator {
namespace {

using ::heapecho::testing::InMemoryRecording;
using ::heapecho::testing::LineByInstruction;
using ::heapecho::testing::NameByAddress;
using ::heapecho::testing::StackOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

model::Report Aggregate(std::vector<model::Recording> recordings, Options options = {}) {
  Aggregator aggregator(options);
  for (model::Recording& recording : recordings)
    aggregator.Add(std::move(recording), model::ProcessState::kKilled);
  return aggregator.Finish(NameByAddress, LineByInstruction);
}

std::vector<std::pair<std::string, double>> BytesByStack(const model::Profile& profile) {
  std::vector<std::pair<std::string, double>> bytes;
  for (const model::Sample& sample : profile.samples)
    bytes.emplace_back(StackOf(profile, sample), sample.estimate.bytes);
  return bytes;
}

TEST(Aggregator, AddsUpLiveBlocksWeightByWeight) {
  InMemoryRecording recording(1);
  const model::StackId stack = recording.AddStack({0x10, 0x20});
  recording.AddBlock(stack, 100, 5).time_ns = 20'000'000'000;
  recording.AddBlock(stack, 1000, 2);
  const model::Report report = Aggregate({*recording});
  ASSERT_EQ(report.profile.samples.size(), 1U);
  const model::Sample& sample = report.profile.samples[0];
  EXPECT_EQ(StackOf(report.profile, sample), "f10;f20");
  EXPECT_EQ(sample.estimate.bytes, 2500);
  EXPECT_EQ(sample.estimate.objects, 7);
  EXPECT_EQ(sample.estimate.bytes_variance, 5 * 4 * 100.0 * 100 + 2 * 1 * 1000.0 * 1000);
  EXPECT_EQ(sample.estimate.objects_variance, 5 * 4 + 2 * 1);
  EXPECT_EQ(sample.oldest_ns, 40'000'000'000U);
  EXPECT_EQ(sample.samples, 2U);
  EXPECT_EQ(report.profile.total.bytes, 2500);
  EXPECT_EQ(report.profile.domains[0].bytes, 2500);
  EXPECT_THAT(report.profile.warnings, IsEmpty());
}

TEST(Aggregator, TakesAllocatedAndPeakFromTheStacksTotals) {
  InMemoryRecording recording(1);
  recording.AddStack({0x10});
  recording->stacks[1].allocated = {
      .bytes = 900, .objects = 9, .bytes_variance = 4, .objects_variance = 3};
  recording->stacks[1].peak = {
      .bytes = 300, .objects = 3, .bytes_variance = 2, .objects_variance = 1};
  const model::Report allocated = Aggregate({*recording}, {.value = model::Value::kAllocated});
  EXPECT_EQ(allocated.profile.total.bytes, 900);
  EXPECT_EQ(allocated.profile.total.bytes_variance, 4);
  const model::Report peak = Aggregate({*recording}, {.value = model::Value::kPeak});
  EXPECT_EQ(peak.profile.total.bytes, 300);
  EXPECT_EQ(peak.profile.total.objects_variance, 1);
  EXPECT_THAT(Aggregate({*recording}).profile.samples, IsEmpty());
}

TEST(Aggregator, MergesOneStackOfSeveralProcessesWhereverItsModuleLay) {
  InMemoryRecording one(1), two(2);
  one.AddBlock(one.AddStack({0x10, 0x20}), 100, 1);
  two->modules[0].bias = 0x555500000000;
  two.AddBlock(two.AddStack({0x10, 0x30}), 50, 1);
  two.AddBlock(two.AddStack({0x10, 0x20}), 1000, 1);
  const model::Profile profile = Aggregate({*one, *two}).profile;
  EXPECT_THAT(BytesByStack(profile), ElementsAre(Pair("f10;f20", 1100), Pair("f10;f30", 50)));
}

TEST(Aggregator, KeepsBuildsOfOneModuleApartUntilTheyHaveTheirNames) {
  InMemoryRecording one(1), two(2);
  one.AddBlock(one.AddStack({0x10}), 100, 1);
  two->modules[0].build_id = "bad";
  two.AddBlock(two.AddStack({0x10}), 50, 1);
  std::vector<std::string> asked;
  Aggregator aggregator({});
  aggregator.Add(*one, model::ProcessState::kKilled);
  aggregator.Add(*two, model::ProcessState::kKilled);
  const auto symbolize = [&](const model::Module& module, absl::Span<const uint64_t> addresses) {
    asked.push_back(module.build_id);
    return NameByAddress(module, addresses);
  };
  EXPECT_THAT(BytesByStack(aggregator.Finish(symbolize, LineByInstruction).profile),
              ElementsAre(Pair("f10", 150)));
  EXPECT_THAT(asked, UnorderedElementsAre("c0ffee", "bad"));
}

TEST(Aggregator, AsksForEachAddressOnceAndOnlyForThoseInUse) {
  InMemoryRecording recording(1);
  recording.AddStack({0x10, 0x30});
  recording.AddBlock(recording.AddStack({0x10, 0x20}), 100, 1);
  recording.AddBlock(recording.AddStack({0x10, 0x20, 0x20}), 100, 1);
  std::vector<uint64_t> asked;
  Aggregator aggregator({});
  aggregator.Add(*recording, model::ProcessState::kKilled);
  const auto symbolize = [&](const model::Module& module, absl::Span<const uint64_t> addresses) {
    asked.insert(asked.end(), addresses.begin(), addresses.end());
    return NameByAddress(module, addresses);
  };
  (void)aggregator.Finish(symbolize, LineByInstruction);
  EXPECT_THAT(asked, ElementsAre(0x10, 0x20));
}

TEST(Aggregator, SpreadsInlinedFunctionsOutermostFirst) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddStack({0x10, 0x2f}), 100, 1);
  const model::Profile profile = Aggregate({*recording}).profile;
  EXPECT_THAT(BytesByStack(profile), ElementsAre(Pair("f10;f20;f2f", 100)));
}

TEST(Aggregator, AddsUpStacksThatHaveTheSameNames) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddStack({0x20}), 100, 1).time_ns = 10'000'000'000;
  recording.AddBlock(recording.AddStack({0x21}), 10, 1);
  const model::Profile profile = Aggregate({*recording}).profile;
  ASSERT_THAT(BytesByStack(profile), ElementsAre(Pair("f20", 110)));
  EXPECT_EQ(profile.samples[0].oldest_ns, 50'000'000'000U);
  EXPECT_EQ(profile.samples[0].samples, 2U);
}

TEST(Aggregator, KeepsDomainsOfOneStackApart) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddStack({0x10}, model::Domain::kArrow), 30, 1);
  recording.AddBlock(recording.AddStack({0x10}), 4, 1);
  const model::Profile profile = Aggregate({*recording}).profile;
  ASSERT_EQ(profile.samples.size(), 2U);
  EXPECT_EQ(profile.samples[0].domain, model::Domain::kMalloc);
  EXPECT_EQ(profile.samples[1].domain, model::Domain::kArrow);
  EXPECT_EQ(profile.domains[2].bytes, 30);
}

TEST(Aggregator, MarksWhatIsNotAWholeStack) {
  InMemoryRecording recording(1);
  recording.AddBlock({0}, 1, 1);
  recording.AddBlock(recording.AddStack({0x10}), 2, 1);
  recording->stacks[1].truncated = true;
  recording.AddBlock(recording.AddStack({0x10}), 4, 1);
  recording->stacks[2].broken = true;
  recording.AddBlock(recording.AddStack({0x7f00}, model::Domain::kMalloc, 0), 8, 1);
  recording.AddBlock(recording.AddStack({0x10}), 16, 1);
  recording->stacks[4].cut = true;
  const model::Profile profile = Aggregate({*recording}).profile;
  EXPECT_THAT(BytesByStack(profile),
              UnorderedElementsAre(Pair("[unknown stack]", 1), Pair("[stack truncated];f10", 2),
                                   Pair("[stack broken];f10", 4), Pair("[anonymous]", 8),
                                   Pair("f10;[folded]", 16)));
}

TEST(Aggregator, KeepsInItsDomainWhatHasNoStack) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddStack({}, model::Domain::kArrow), 30, 1);
  recording->stacks[1].cut = true;
  const model::Profile profile = Aggregate({*recording}).profile;
  EXPECT_THAT(BytesByStack(profile), UnorderedElementsAre(Pair("[unknown stack]", 30)));
  EXPECT_EQ(profile.domains[2].bytes, 30);
}

TEST(Aggregator, RanksAFoldedStackByTheFunctionThatIsLeft) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddStack({0x10}), 16, 1);
  recording->stacks[1].cut = true;
  const model::Report report = Aggregate({*recording});
  ASSERT_EQ(report.groups.size(), 1U);
  EXPECT_EQ(report.profile.frames[report.groups[0].frame.value].function, "f10");
}

TEST(Aggregator, TakesAModuleWithoutAPathForTheProgramItself) {
  InMemoryRecording recording(1);
  recording->modules[0].path = "";
  recording.AddBlock(recording.AddStack({0x10}), 1, 1);
  const model::Profile profile = Aggregate({*recording}).profile;
  ASSERT_EQ(profile.frames.size(), 1U);
  EXPECT_EQ(profile.frames[0].module, "app");
}

// A worker inherits what its master had sampled: adding both up would count it twice.
TEST(Aggregator, CountsInheritedBlocksOnceAtTheParent) {
  InMemoryRecording master(1), worker(2);
  worker->parent_id = master->id;
  master.AddBlock(master.AddStack({0x10}), 1000, 3);
  worker.AddBlock(worker.AddStack({0x10}), 1000, 3).inherited = true;
  worker.AddBlock(worker.AddStack({0x20}), 7, 1);
  for (const bool parent_first : {true, false}) {
    const model::Report report =
        parent_first ? Aggregate({*master, *worker}) : Aggregate({*worker, *master});
    EXPECT_THAT(BytesByStack(report.profile), ElementsAre(Pair("f10", 3000), Pair("f20", 7)));
    EXPECT_EQ(report.processes[0].counted_elsewhere.bytes, 0);
    EXPECT_EQ(report.processes[1].inherited.bytes, 3000);
    EXPECT_EQ(report.processes[1].counted_elsewhere.bytes, 3000);
    EXPECT_EQ(report.processes[1].live[0].bytes, 3007);
  }
}

TEST(Aggregator, CountsInheritedBlocksWhereTheParentIsNotGiven) {
  InMemoryRecording worker(2);
  worker->parent_id.bytes[0] = 1;
  worker.AddBlock(worker.AddStack({0x10}), 1000, 3).inherited = true;
  EXPECT_THAT(BytesByStack(Aggregate({*worker}).profile), ElementsAre(Pair("f10", 3000)));
}

// Two workers without their master: the block that both inherited is one block.
TEST(Aggregator, CountsABlockThatSiblingsInheritedOnce) {
  InMemoryRecording one(2), two(3);
  for (InMemoryRecording* worker : {&one, &two}) {
    (*worker)->parent_id.bytes[0] = 1;
    worker->AddBlock(worker->AddStack({0x10}), 1000, 3).inherited = true;
    worker->AddBlock(worker->AddStack({0x20}), 7, 1);
  }
  const model::Report report = Aggregate({*one, *two});
  EXPECT_THAT(BytesByStack(report.profile), ElementsAre(Pair("f10", 3000), Pair("f20", 14)));
  EXPECT_EQ(report.profile.samples[0].estimate.bytes_variance, 3 * 2 * 1000.0 * 1000);
  EXPECT_EQ(report.processes[0].counted_elsewhere.bytes, 0);
  EXPECT_EQ(report.processes[1].counted_elsewhere.bytes, 3000);
  // Of another boot it is another block.
  two->boot_id.bytes[0] = 9;
  EXPECT_THAT(BytesByStack(Aggregate({*one, *two}).profile),
              ElementsAre(Pair("f10", 6000), Pair("f20", 14)));
}

TEST(Aggregator, TakesWhatIsStillInheritedOutOfThePeak) {
  InMemoryRecording master(1), worker(2);
  worker->parent_id = master->id;
  const model::StackId stack = worker.AddStack({0x10});
  worker->stacks[stack.value].peak = {
      .bytes = 5000, .objects = 5, .bytes_variance = 0, .objects_variance = 0};
  worker.AddBlock(stack, 1000, 3).inherited = true;
  const Options peak{.value = model::Value::kPeak};
  EXPECT_THAT(BytesByStack(Aggregate({*worker}, peak).profile), ElementsAre(Pair("f10", 5000)));
  EXPECT_THAT(BytesByStack(Aggregate({*worker, *master}, peak).profile),
              ElementsAre(Pair("f10", 2000)));
}

TEST(Aggregator, LeavesARecordingThatWasGivenTwiceOut) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddStack({0x10}), 100, 1);
  const model::Report report = Aggregate({*recording, *recording});
  EXPECT_EQ(report.profile.total.bytes, 100);
  EXPECT_EQ(report.processes.size(), 1U);
  EXPECT_THAT(report.profile.warnings,
              ElementsAre("r1.heapecho: the same recording was given before; left out"));
}

TEST(Aggregator, PassesOnWhatIsWrongWithARecording) {
  InMemoryRecording recording(1);
  recording->warnings = {"cut off"};
  recording->recording_end = model::RecordingEnd::kDiskFull;
  recording->recording_end_errno = 28;
  recording->identity.notes = {"a note"};
  EXPECT_THAT(
      Aggregate({*recording}).profile.warnings,
      ElementsAre("r1.heapecho: cut off",
                  "r1.heapecho: the recording ends before the process does: the disk or the quota "
                  "was full (error 28)",
                  "r1.heapecho: a note"));
}

TEST(Aggregator, SummarizesEachProcessWithoutItsBulk) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddStack({0x10}), 100, 2);
  recording->stacks[1].allocated.bytes = 900;
  recording->stacks[1].peak.bytes = 300;
  recording->events.resize(3);
  const model::Report report = Aggregate({*recording});
  ASSERT_EQ(report.processes.size(), 1U);
  const model::ProcessSummary& process = report.processes[0];
  EXPECT_EQ(process.name, "app");
  EXPECT_EQ(process.end.state, model::ProcessState::kKilled);
  EXPECT_EQ(process.recording.pid, 101U);
  EXPECT_EQ(process.live[0].bytes, 200);
  EXPECT_EQ(process.allocated[0].bytes, 900);
  EXPECT_EQ(process.peak[0].bytes, 300);
  EXPECT_THAT(process.recording.live_blocks, IsEmpty());
  EXPECT_THAT(process.recording.events, IsEmpty());
  EXPECT_THAT(process.recording.stacks, IsEmpty());
}

TEST(Aggregator, SortsProcessesByTheirBeginning) {
  InMemoryRecording one(1), two(2);
  const model::Report report = Aggregate({*two, *one});
  EXPECT_EQ(report.processes[0].recording.pid, 101U);
  EXPECT_EQ(report.processes[1].recording.pid, 102U);
}

class Filters : public ::testing::Test {
 protected:
  Filters() : one_(1), two_(2) {
    two_->identity.host = "web-2";
    one_.AddBlock(one_.AddStack({0x10}), 1, 1);
    one_.AddBlock(one_.AddStack({0x20}, model::Domain::kArrow), 2, 1).thread = 77;
    two_.AddBlock(two_.AddStack({0x10}), 4, 1);
  }
  double BytesWhere(const char* text) {
    return Aggregate({*one_, *two_}, {.where = ParseWhere(text).value()}).profile.total.bytes;
  }
  InMemoryRecording one_, two_;
};

TEST_F(Filters, LeaveOutWhatDoesNotAgree) {
  EXPECT_EQ(BytesWhere(""), 7);
  EXPECT_EQ(BytesWhere("pid=101"), 3);
  EXPECT_EQ(BytesWhere("pid=101,pid=102"), 7);
  EXPECT_EQ(BytesWhere("pid=999"), 0);
  EXPECT_EQ(BytesWhere("host=web-2"), 4);
  EXPECT_EQ(BytesWhere("domain=arrow"), 2);
  EXPECT_EQ(BytesWhere("thread=77"), 2);
  EXPECT_EQ(BytesWhere("host=web-1,domain=malloc"), 1);
}

TEST_F(Filters, LeaveOtherProcessesOutOfTheSummary) {
  const model::Report report = Aggregate({*one_, *two_}, {.where = ParseWhere("pid=102").value()});
  ASSERT_EQ(report.processes.size(), 1U);
  EXPECT_EQ(report.processes[0].recording.pid, 102U);
}

TEST_F(Filters, AddARootFrameThatSaysWhoseAStackIs) {
  EXPECT_THAT(BytesByStack(Aggregate({*one_}, {.by = By::kProcess}).profile),
              UnorderedElementsAre(Pair("app 101;f10", 1), Pair("app 101;f20", 2)));
  EXPECT_THAT(BytesByStack(Aggregate({*one_}, {.by = By::kThread}).profile),
              UnorderedElementsAre(Pair("app 101;main thread;f10", 1),
                                   Pair("app 101;f20 (app), thread 77;f20", 2)));
  EXPECT_THAT(BytesByStack(Aggregate({*one_}, {.by = By::kDomain}).profile),
              UnorderedElementsAre(Pair("malloc;f10", 1), Pair("arrow;f20", 2)));
}

TEST_F(Filters, SayWhatEachThatTheProfileIsToldApartByHas) {
  const auto shares = [&](By by, model::Unit unit) {
    std::vector<std::pair<std::string, double>> said;
    for (const model::Share& share : Aggregate({*one_}, {.unit = unit, .by = by}).shares)
      said.emplace_back(share.name, share.estimate.bytes);
    return said;
  };
  EXPECT_THAT(shares(By::kNone, model::Unit::kBytes), IsEmpty());
  EXPECT_THAT(shares(By::kDomain, model::Unit::kBytes),
              ElementsAre(Pair("arrow", 2), Pair("malloc", 1)));
  one_.AddBlock({1}, 0, 7);
  EXPECT_THAT(
      shares(By::kThread, model::Unit::kObjects),
      ElementsAre(Pair("app 101 / main thread", 1), Pair("app 101 / f20 (app), thread 77", 2)));
  EXPECT_EQ(Aggregate({*one_}, {.by = By::kThread}).by, "thread");
}

TEST(Aggregator, KeepsWhatWasInheritedApartFromAnyThread) {
  InMemoryRecording child(2);
  child->parent_id.bytes[0] = 1;
  child.AddBlock(child.AddStack({0x10}), 10, 1).inherited = true;
  EXPECT_THAT(BytesByStack(Aggregate({*child}, {.by = By::kThread}).profile),
              UnorderedElementsAre(Pair("app 102;[before the fork];f10", 10)));
}

TEST_F(Filters, TellProcessesApartByHostAndThenByTime) {
  EXPECT_THAT(BytesByStack(Aggregate({*one_, *two_}, {.by = By::kProcess}).profile),
              UnorderedElementsAre(Pair("app 101 on web-1;f10", 1), Pair("app 101 on web-1;f20", 2),
                                   Pair("app 102 on web-2;f10", 4)));
  two_->identity.host = "web-1";
  two_->pid = 101;
  two_->begin_realtime_ns += 5'000'000'000;
  EXPECT_THAT(BytesByStack(Aggregate({*one_, *two_}, {.by = By::kProcess}).profile),
              UnorderedElementsAre(Pair("app 101 from 2023-11-14T22:13:20.000Z;f10", 1),
                                   Pair("app 101 from 2023-11-14T22:13:20.000Z;f20", 2),
                                   Pair("app 101 from 2023-11-14T22:13:25.000Z;f10", 4)));
}

TEST(Threads, OfWhatWasAllocatedComeFromTheEventsThatAreLeft) {
  InMemoryRecording recording(1);
  const model::StackId stack = recording.AddStack({0x10});
  recording->stacks[stack.value].allocated.bytes = 1000;
  recording->threads = {{.id = 7, .name = "seven"}, {.id = 8, .name = "eight"}};
  for (const uint32_t thread : {7U, 7U, 8U}) {
    model::Event event;
    event.size = 50;
    event.weight = 2;
    event.thread = thread;
    event.stack = stack;
    recording->events.push_back(event);
  }
  recording->events.push_back(recording->events.back());
  recording->events.back().kind = model::Event::Kind::kFree;
  const model::Report report =
      Aggregate({*recording}, {.value = model::Value::kAllocated, .by = By::kThread});
  EXPECT_THAT(report.processes[0].recording.threads, IsEmpty());
  const model::Profile& profile = report.profile;
  EXPECT_THAT(BytesByStack(profile), ElementsAre(Pair("app 101;eight, thread 8;f10", 100),
                                                 Pair("app 101;seven, thread 7;f10", 200)));
  EXPECT_THAT(profile.warnings, ElementsAre(HasSubstr("30.0 % of the bytes allocated")));
}

TEST(Threads, OfThePeakAreRefused) {
  EXPECT_FALSE(Check({.value = model::Value::kPeak, .by = By::kThread}).ok());
  Options options{.value = model::Value::kPeak};
  EXPECT_TRUE(Check(options).ok());
  options.where.threads = {1};
  EXPECT_FALSE(Check(options).ok());
}

TEST(ParseWhere, TakesAlternativesAndConjunctions) {
  const Where where = ParseWhere("pid=1,pid=2,host=a,thread=3,domain=python").value();
  EXPECT_THAT(where.pids, ElementsAre(1, 2));
  EXPECT_THAT(where.hosts, ElementsAre("a"));
  EXPECT_THAT(where.threads, ElementsAre(3));
  EXPECT_THAT(where.domains, ElementsAre(model::Domain::kPython));
}

TEST(ParseWhere, NamesWhatItDoesNotUnderstand) {
  for (const auto& [text, complaint] :
       std::map<std::string, std::string>{{"pid=x", "\"x\" is no number"},
                                          {"pid=", "\"\" is no number"},
                                          {"pid=-1", "\"-1\" is no number"},
                                          {"thread=99999999999", "is no number"},
                                          {"domain=heap", "no such domain"},
                                          {"host=", "\"host=\" is none of"},
                                          {"user=me", "\"user=me\" is none of"},
                                          {"pid", "\"\" is no number"}}) {
    const auto where = ParseWhere(text);
    ASSERT_FALSE(where.ok()) << text;
    EXPECT_THAT(std::string(where.status().message()), HasSubstr(complaint)) << text;
  }
}

TEST(ParseBy, KnowsProcessThreadAndDomain) {
  EXPECT_EQ(ParseBy("").value(), By::kNone);
  EXPECT_EQ(ParseBy("process").value(), By::kProcess);
  EXPECT_EQ(ParseBy("thread").value(), By::kThread);
  EXPECT_EQ(ParseBy("domain").value(), By::kDomain);
  EXPECT_THAT(std::string(ParseBy("user").status().message()), HasSubstr("\"user\" is none of"));
}

TEST(ProcessName, IsThatOfTheScriptAnInterpreterRuns) {
  const auto name = [](std::vector<std::string> command, std::string executable = "/usr/bin/exe") {
    model::Identity identity;
    identity.command = std::move(command);
    identity.executable = std::move(executable);
    return ProcessName(identity);
  };
  EXPECT_EQ(name({"/usr/bin/python3", "/usr/local/bin/gunicorn", "app:wsgi"}), "gunicorn");
  EXPECT_EQ(name({"python3.11", "-u", "-X", "dev", "manage.py", "runserver"}), "manage.py");
  EXPECT_EQ(name({"python", "-m", "celery", "worker"}), "celery");
  EXPECT_EQ(name({"python3", "-c", "print(1)"}), "python3");
  EXPECT_EQ(name({"python3"}), "python3");
  EXPECT_EQ(name({"pythonista", "x"}), "pythonista");
  EXPECT_EQ(name({"/srv/app", "-v"}), "app");
  EXPECT_EQ(name({}), "exe");
  EXPECT_EQ(name({}, ""), "process");
}

}  // namespace
}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/ends.h"

#include <signal.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace heapecho::aggregator {
namespace {

using model::OomKill;
using model::ProcessState;
using model::ProcessSummary;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kGiB = 1 << 30;

// A master, pid 100, and its workers, pids from 101, in one place; times in seconds.
class Service {
 public:
  Service() { Add(100, 1, 0, ProcessState::kRunning); }

  ProcessSummary& Add(uint32_t pid, uint64_t started, uint64_t last_seen,
                      ProcessState state = ProcessState::kKilled) {
    ProcessSummary process;
    process.end.state = state;
    model::Recording& recording = process.recording;
    recording.id.bytes[0] = static_cast<uint8_t>(processes.size() + 1);
    recording.boot_id.bytes[0] = 7;
    recording.pid_namespace = 9;
    recording.pid = pid;
    recording.ppid = pid == 100 ? 1 : 100;
    recording.start_ticks = started * 100;
    recording.process_start_ns = recording.begin_ns = started * kSecond;
    recording.last_event_ns = last_seen * kSecond;
    recording.identity.command = {"gunicorn"};
    recording.identity.executable = "/usr/bin/gunicorn";
    processes.push_back(process);
    return processes.back();
  }
  // The master was told that `pid` was over; the OOM killer's count went from one to the other.
  model::ChildEnd& Reap(uint32_t pid, uint64_t time, int signal, int status = -1) {
    model::ChildEnd end;
    end.pid = pid;
    end.time_ns = time * kSecond;
    end.signal = signal;
    end.exit_status = status;
    end.max_rss = kGiB;
    if (signal != 0) end.oom_kills_before = end.oom_kills_after = 0;
    processes[0].recording.child_ends.push_back(end);
    return processes[0].recording.child_ends.back();
  }
  void CountOomKills(uint64_t before, uint64_t after) {
    processes[0].recording.child_ends.back().oom_kills_before = before;
    processes[0].recording.child_ends.back().oom_kills_after = after;
  }
  model::SentSignal& Send(int32_t pid, uint64_t time, int signal, size_t sender = 0) {
    processes[sender].recording.sent_signals.push_back(
        {.time_ns = time * kSecond, .pid = pid, .signal = signal});
    return processes[sender].recording.sent_signals.back();
  }
  const model::End& Join(size_t process) {
    JoinEnds({}, &processes);
    return processes[process].end;
  }

  std::vector<ProcessSummary> processes;
};

TEST(Ends, AParentsWordComesBeforeTheProcesssOwn) {
  Service service;
  service.Add(101, 2, 8, ProcessState::kExited).recording.exit_status = 0;
  service.Reap(101, 9, SIGSEGV);
  const model::End& end = service.Join(1);
  EXPECT_EQ(end.state, ProcessState::kKilled);
  EXPECT_EQ(end.signal, SIGSEGV);
  EXPECT_EQ(end.exit_status, -1);
  EXPECT_EQ(end.peak_rss, kGiB);
  EXPECT_EQ(end.time_ns, 9 * kSecond);
  EXPECT_EQ(end.oom_kill, OomKill::kNo);
  EXPECT_EQ(end.evidence, "its parent gunicorn 100 was told of SIGSEGV");
}

TEST(Ends, AProcessThatSaysNothingHasTheStatusThatItsParentWasTold) {
  Service service;
  service.Add(101, 2, 8);
  service.Reap(101, 9, 0, 3);
  const model::End& end = service.Join(1);
  EXPECT_EQ(end.state, ProcessState::kExited);
  EXPECT_EQ(end.exit_status, 3);
}

TEST(Ends, AnExecIsTheProcesssOwnWordAndTheParentsIsOfWhatCameAfterIt) {
  Service service;
  service.Add(101, 2, 3, ProcessState::kExec);
  service.Add(101, 2, 8).recording.begin_ns = 4 * kSecond;
  service.Reap(101, 9, SIGKILL);
  EXPECT_EQ(service.Join(1).state, ProcessState::kExec);
  EXPECT_EQ(service.processes[2].end.signal, SIGKILL);
}

TEST(Ends, APidThatWasGivenTwiceIsTheOneThatBeganLast) {
  Service service;
  service.Add(101, 2, 3);
  service.Add(101, 5, 6);
  service.Reap(101, 4, SIGTERM);
  service.Reap(101, 7, SIGKILL);
  EXPECT_EQ(service.Join(1).signal, SIGTERM);
  EXPECT_EQ(service.processes[2].end.signal, SIGKILL);
}

TEST(Ends, AForkThatLeftNoRecordingIsNotTakenForAnEarlierProcessOfItsPid) {
  Service service;
  service.Add(101, 2, 3, ProcessState::kUnknown);
  service.Reap(101, 9, SIGKILL).start_ticks = 800;
  EXPECT_EQ(service.Join(1).state, ProcessState::kUnknown);
}

TEST(Ends, PidsOfAnotherNamespaceOrBootAreOtherProcesses) {
  for (const bool boot : {false, true}) {
    Service service;
    model::Recording& other = service.Add(101, 2, 8, ProcessState::kUnknown).recording;
    (boot ? other.boot_id.bytes[0] : reinterpret_cast<uint8_t&>(other.pid_namespace)) = 1;
    service.Reap(101, 9, SIGKILL);
    EXPECT_EQ(service.Join(1).state, ProcessState::kUnknown);
  }
}

TEST(Ends, AChildThatIsFirstInANamespaceOfItsOwnIsFoundByItsFork) {
  Service service;
  model::Recording& child = service.Add(1, 2, 8, ProcessState::kUnknown).recording;
  child.pid_namespace = 77;
  child.parent_id = service.processes[0].recording.id;
  service.Reap(4321, 9, SIGKILL).start_ticks = 200;
  EXPECT_EQ(service.Join(1).signal, SIGKILL);
}

TEST(Ends, ARisenCountIsAnOomKill) {
  Service service;
  service.Add(101, 2, 8);
  service.Reap(101, 9, SIGKILL);
  service.CountOomKills(4, 5);
  const model::End& end = service.Join(1);
  EXPECT_EQ(end.oom_kill, OomKill::kYes);
  EXPECT_EQ(end.evidence,
            "its parent gunicorn 100 was told of SIGKILL; its control group's count of OOM kills "
            "rose");
}

TEST(Ends, ACountThatDidNotRiseIsNoOomKillHoweverFullTheGroup) {
  Service service;
  model::Recording& worker = service.Add(101, 2, 8).recording;
  worker.cgroup_current = worker.cgroup_limit = kGiB;
  service.Reap(101, 9, SIGKILL).cgroup_limit = kGiB;
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kNo);
}

TEST(Ends, ACountExplainsAsManyKillsAsItRoseBy) {
  Service service;
  service.Add(101, 2, 8);
  service.Add(102, 2, 8);
  service.Reap(101, 9, SIGKILL);
  service.CountOomKills(4, 6);
  service.Reap(102, 9, SIGKILL);
  service.CountOomKills(6, 6);
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kYes);
  EXPECT_EQ(service.processes[2].end.oom_kill, OomKill::kYes);
}

TEST(Ends, WhichOfTwoKillsOfOneSecondTheCountMeantNobodyKnows) {
  Service service;
  service.Add(101, 2, 8);
  service.Add(102, 2, 8);
  service.Reap(101, 9, SIGKILL);
  service.CountOomKills(4, 5);
  service.Reap(102, 9, SIGKILL);
  service.CountOomKills(5, 5);
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kLikely);
  EXPECT_EQ(service.processes[2].end.oom_kill, OomKill::kLikely);
}

TEST(Ends, ACountThatRoseLongAgoExplainsNothingNow) {
  Service service;
  service.Add(101, 2, 8);
  service.Add(102, 2, 20);
  service.Reap(101, 9, SIGKILL);
  service.CountOomKills(4, 6);
  service.Reap(102, 20, SIGKILL);
  service.CountOomKills(6, 6);
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kYes);
  EXPECT_EQ(service.processes[2].end.oom_kill, OomKill::kNo);
}

TEST(Ends, TheCountOfAnotherControlGroupSaysNothing) {
  Service service;
  model::Recording& worker = service.Add(101, 2, 8).recording;
  worker.identity.cgroup = "0::/worker";
  worker.cgroup_limit = kGiB;
  worker.cgroup_current = kGiB - 1;
  service.processes[0].recording.identity.cgroup = "0::/master";
  service.Reap(101, 9, SIGKILL);
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kLikely);
}

TEST(Ends, AKnownSenderIsNoOomKillThoughTheCountRose) {
  Service service;
  service.Add(101, 2, 8);
  service.Send(101, 8, SIGKILL);
  service.Reap(101, 9, SIGKILL);
  service.CountOomKills(4, 5);
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kNo);
}

// A worker that had been idle for half an hour counted as over since its last event.
TEST(Ends, OfOneThatNobodyReapedIsWhenItWasKilled) {
  Service service;
  service.Add(101, 2, 8);
  service.Send(101, 1800, SIGKILL);
  EXPECT_EQ(service.Join(1).state, ProcessState::kKilled);
  EXPECT_EQ(service.processes[1].end.time_ns, 1800 * kSecond);
}

TEST(Ends, ACallThatFailedSentNothing) {
  Service service;
  service.Add(101, 2, 8);
  service.Send(101, 8, SIGKILL).failed = true;
  service.Reap(101, 9, SIGKILL);
  service.CountOomKills(4, 5);
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kYes);
  EXPECT_FALSE(service.processes[1].end.timed_out);
}

TEST(Ends, ASignalToAnEarlierProcessOfThePidWasForThatOne) {
  Service service;
  service.Add(101, 2, 8);
  service.Send(101, 8, SIGKILL).start_ticks = 1;
  service.Reap(101, 9, SIGKILL);
  service.CountOomKills(4, 5);
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kYes);
}

TEST(Ends, AnArbitersAbortIsATimeOutWhetherTheWorkerExitsOrIsKilled) {
  for (const int status : {0, 1, -1}) {  // gunicorn's own handler may end it with 0
    Service service;
    service.Add(101, 2, 8);
    service.Send(101, 8, SIGABRT);
    if (status < 0) service.Send(101, 9, SIGKILL);
    service.Reap(101, 9, status < 0 ? SIGKILL : 0, status);
    const model::End& end = service.Join(1);
    EXPECT_TRUE(end.timed_out);
    EXPECT_EQ(end.oom_kill, OomKill::kNo);
    EXPECT_NE(end.evidence.find("its parent gunicorn 100 sent"), std::string::npos) << end.evidence;
  }
}

TEST(Ends, AWorkerThatWasAskedToStopAndThenKilledDidNotTimeOut) {
  Service service;
  service.Add(101, 2, 8);
  service.Send(101, 7, SIGTERM);
  service.Send(101, 8, SIGKILL);
  service.Reap(101, 9, SIGKILL);
  const model::End& end = service.Join(1);
  EXPECT_FALSE(end.timed_out);
  EXPECT_EQ(end.oom_kill, OomKill::kNo);
  EXPECT_EQ(end.evidence, "its parent gunicorn 100 sent SIGKILL");
}

TEST(Ends, AStrangersKillIsNoTimeOut) {
  Service service;
  service.Add(101, 2, 8);
  service.Add(500, 1, 9, ProcessState::kRunning).recording.ppid = 1;
  service.Send(101, 8, SIGKILL, 2);
  EXPECT_EQ(service.Join(1).signal, SIGKILL) << "nobody waited; the sender tells";
  EXPECT_FALSE(service.processes[1].end.timed_out);
}

TEST(Ends, AMasterThatSignalsItsGroupMeansItsChildren) {
  Service service;
  service.Add(101, 2, 8);
  service.Send(0, 8, SIGKILL);
  const model::End& end = service.Join(1);
  EXPECT_EQ(end.signal, SIGKILL);
  EXPECT_EQ(end.oom_kill, OomKill::kNo);
}

TEST(Ends, AWholeGroupThatFellSilentAtItsLimitWasProbablyOomKilledWithItsIdleMaster) {
  Service service;
  service.processes[0].end.state = ProcessState::kUnknown;
  service.Add(101, 2, 80, ProcessState::kUnknown);
  model::Recording& full = service.Add(102, 2, 80, ProcessState::kUnknown).recording;
  full.cgroup_limit = kGiB;
  full.cgroup_current = kGiB / 100 * 97;
  service.Add(103, 2, 20, ProcessState::kUnknown);  // long before
  service.Join(0);
  EXPECT_EQ(service.processes[0].end.oom_kill, OomKill::kLikely) << "the master had nothing to say";
  EXPECT_EQ(service.processes[1].end.oom_kill, OomKill::kLikely);
  EXPECT_EQ(service.processes[2].end.oom_kill, OomKill::kLikely);
  EXPECT_EQ(service.processes[3].end.oom_kill, OomKill::kNo);
  EXPECT_EQ(service.processes[2].end.evidence,
            "its control group held 993 MiB of 1.00 GiB when it was last looked at");
}

TEST(Ends, SilenceFarFromTheLimitIsNoOomKill) {
  Service service;
  model::Recording& worker = service.Add(101, 2, 8, ProcessState::kUnknown).recording;
  worker.cgroup_limit = kGiB;
  worker.cgroup_current = kGiB / 2;
  EXPECT_EQ(service.Join(1).oom_kill, OomKill::kNo);
}

TEST(Ends, ThoseThatAreNotShownMayStillKnow) {
  Service service;
  service.Add(101, 2, 8);
  service.Reap(101, 9, SIGKILL);
  const std::vector<model::Recording> bystanders = {service.processes[0].recording};
  service.processes.erase(service.processes.begin());
  JoinEnds(bystanders, &service.processes);
  EXPECT_EQ(service.processes[0].end.signal, SIGKILL);
}

}  // namespace
}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace heapecho::aggregator {
namespace {

using ::testing::ElementsAre;

constexpr char kLibrary[] = "/usr/lib/python3.11";

// Function and file, outermost first; a file that begins with "/" lies in the standard library,
// without one it is native, of libwork.so.
using Stack = std::vector<std::pair<std::string, std::string>>;

const std::pair<std::string, std::string> kBootstrap = {"Thread._bootstrap", "/threading.py"};
const std::pair<std::string, std::string> kRun = {"Thread.run", "/threading.py"};
const std::pair<std::string, std::string> kPool = {"_worker", "/concurrent/futures/thread.py"};
const std::pair<std::string, std::string> kItem = {"_WorkItem.run",
                                                   "/concurrent/futures/thread.py"};

class ThreadNames : public ::testing::Test {
 protected:
  ThreadNames() {
    recording_.pid = 100;
    recording_.identity.executable = "/usr/bin/python3.11";
    recording_.identity.command = {"/usr/bin/python3", "/usr/local/bin/gunicorn", "app:wsgi"};
  }

  void AddRecord(uint32_t id, uint64_t first_seen_ns, const std::string& name) {
    recording_.threads.push_back({.id = id, .first_seen_ns = first_seen_ns, .name = name});
  }

  void See(ThreadId thread, const Stack& stack, uint32_t samples = 1) {
    std::vector<model::Frame> frames;
    for (const auto& [function, file] : stack) {
      model::Frame frame;
      frame.function = function;
      if (file.empty()) {
        frame.module = "libwork.so";
      } else {
        frame.kind = model::Frame::Kind::kPython;
        frame.file = file[0] == '/' ? kLibrary + file : "/srv/app/" + file;
      }
      frames.push_back(frame);
    }
    std::vector<const model::Frame*> pointers;
    for (const model::Frame& frame : frames) pointers.push_back(&frame);
    threads_.SawStack(thread, pointers, samples);
  }

  // A thread of process 0 that was seen with this stack.
  ThreadId See(uint32_t id, const Stack& stack, uint32_t samples = 1) {
    const ThreadId thread = threads_.Find(recording_, 0, id, 50);
    See(thread, stack, samples);
    return thread;
  }

  // Those that Find gave, in its order.
  std::vector<std::string> Names() const {
    std::vector<std::string> names = threads_.Name();
    names.erase(names.begin());
    return names;
  }

  model::Recording recording_;
  Threads threads_;
};

TEST_F(ThreadNames, AreTheKernelsWhereSomebodyGaveOne) {
  AddRecord(100, 1, "gunicorn");
  AddRecord(101, 1, "sweeper");
  See(100, {{"main", "app.py"}});
  See(101, {{"loop", "app.py"}});
  EXPECT_THAT(Names(), ElementsAre("main thread", "sweeper, thread 101"));
}

TEST_F(ThreadNames, AreTheEntryFunctionsWhereTheKernelHasTheProcesssName) {
  AddRecord(100, 1, "boss");  // as by setproctitle
  AddRecord(101, 1, "python3");
  AddRecord(102, 1, "gunicorn");
  AddRecord(103, 1, "boss");
  AddRecord(104, 1, "python3.11");
  AddRecord(105, 1, "Thread-7 (work");
  for (uint32_t id = 101; id <= 105; ++id)
    See(id, {kBootstrap, kRun, {"worker_loop", "tasks.py"}, {"load", "tasks.py"}});
  EXPECT_THAT(Names(), ::testing::Each("worker_loop (tasks.py), 5 threads"));
}

TEST_F(ThreadNames, OfPlatformsThatRecordNoNamesAreTheEntryFunctions) {
  See(101, {kBootstrap, {"worker_loop", "tasks.py"}});
  EXPECT_THAT(Names(), ElementsAre("worker_loop (tasks.py), thread 101"));
}

TEST_F(ThreadNames, ThatDifferByANumberAreOneGroup) {
  AddRecord(101, 1, "worker-1");
  AddRecord(102, 1, "worker-12");
  AddRecord(103, 1, "1234");
  for (uint32_t id = 101; id <= 103; ++id) See(id, {{"loop", "app.py"}});
  EXPECT_THAT(Names(),
              ElementsAre("worker-N, 2 threads", "worker-N, 2 threads", "1234, thread 103"));
}

TEST_F(ThreadNames, KeepTheirNumberWhereAllHaveTheSame) {
  AddRecord(101, 1, "http2");
  AddRecord(102, 1, "http2");
  for (uint32_t id = 101; id <= 102; ++id) See(id, {{"loop", "app.py"}});
  EXPECT_THAT(Names(), ::testing::Each("http2, 2 threads"));
}

TEST_F(ThreadNames, OfAPoolAreTheFunctionThatAllItsThreadsRun) {
  See(101, {kBootstrap, kRun, kPool, kItem, {"ThreadWorker.handle", "gthread.py"}});
  See(102, {kBootstrap, kRun, kPool, kItem, {"ThreadWorker.handle", "gthread.py"}});
  See(103, {kBootstrap, kRun, kPool});  // waiting for work
  EXPECT_THAT(Names(), ::testing::Each("ThreadWorker.handle (gthread.py), 3 threads"));
}

TEST_F(ThreadNames, OfAPoolAreWhatNineTenthsOfItsSamplesAreOf) {
  const Stack handle = {kBootstrap, kRun, kPool, kItem, {"ThreadWorker.handle", "gthread.py"}};
  const Stack callback = {kBootstrap,
                          kRun,
                          kPool,
                          kItem,
                          {"Future.set_result", "/concurrent/futures/_base.py"},
                          {"ThreadWorker.finish", "gthread.py"}};
  See(101, handle, 90);
  See(102, callback, 10);
  EXPECT_THAT(Names(), ::testing::Each("ThreadWorker.handle (gthread.py), 2 threads"));
  See(102, callback, 1);
  EXPECT_THAT(Names(), ::testing::Each("ThreadPoolExecutor, 2 threads"));
}

TEST_F(ThreadNames, OfAPoolThatOnlyWaitsAreThePools) {
  See(101, {kBootstrap, kRun, kPool});
  EXPECT_THAT(Names(), ElementsAre("ThreadPoolExecutor, thread 101"));
}

TEST_F(ThreadNames, OfAPoolThatRunsSeveralFunctionsAreThePools) {
  const ThreadId first = See(101, {kBootstrap, kRun, kPool, kItem, {"load", "a.py"}});
  See(first, {kBootstrap, kRun, kPool, kItem, {"save", "a.py"}});
  See(102, {kBootstrap, kRun, kPool, kItem, {"load", "a.py"}});
  EXPECT_THAT(Names(), ::testing::Each("ThreadPoolExecutor, 2 threads"));
}

TEST_F(ThreadNames, AreReadOffTheStackThatSaysMost) {
  const ThreadId thread = See(101, {{"start_thread", ""}, {"pythread_wrapper", ""}}, 90);
  See(thread, {{"start_thread", ""}, {"PyObject_New", ""}}, 80);
  See(thread, {kBootstrap}, 70);
  See(thread, {kBootstrap, {"often", "a.py"}}, 3);
  See(thread, {kBootstrap, {"rarely", "a.py"}}, 2);
  EXPECT_THAT(Names(), ElementsAre("often (a.py), thread 101"));
}

TEST_F(ThreadNames, OfNativeThreadsAreTheFirstFunctionThatIsNotTheLibrarys) {
  See(101, {{"__clone3", ""},
            {"start_thread", ""},
            {"execute_native_thread_routine", ""},
            {"std::thread::_State_impl<X>::_M_run()", ""},
            {"arrow::WorkerLoop()", ""},
            {"f", ""}});
  See(102, {{"__clone3", ""}, {"start_thread", ""}, {"0x1234", ""}, {"f", ""}});
  See(103, {{"__clone3", ""}, {"start_thread", ""}, {"0x5678", ""}});
  EXPECT_THAT(Names(), ElementsAre("arrow::WorkerLoop() (libwork.so), thread 101",
                                   "a function of libwork.so, 2 threads",
                                   "a function of libwork.so, 2 threads"));
}

TEST_F(ThreadNames, OfThreadsThatNothingIsKnownOfAreTheirNumber) {
  See(101, {});
  EXPECT_THAT(Names(), ElementsAre("thread 101"));
  See(102, {{"start_thread", ""}});
  EXPECT_THAT(Names(), ElementsAre("2 threads", "2 threads"));
}

TEST_F(ThreadNames, BelongToTheThreadThatHadTheIdThen) {
  AddRecord(101, 10, "first");
  AddRecord(101, 40, "second");
  AddRecord(102, 45, "other");
  const ThreadId first = threads_.Find(recording_, 0, 101, 39);
  const ThreadId second = threads_.Find(recording_, 0, 101, 40);
  EXPECT_EQ(threads_.Find(recording_, 0, 101, 99), second);
  const ThreadId before = threads_.Find(recording_, 0, 101, 9);  // damage
  const ThreadId unknown = threads_.Find(recording_, 0, 999, 50);
  for (const ThreadId thread : {first, second, before, unknown}) See(thread, {{"f", "a.py"}});
  EXPECT_THAT(Names(), ElementsAre("first, thread 101", "second, thread 101", "f (a.py), 2 threads",
                                   "f (a.py), 2 threads"));
}

TEST_F(ThreadNames, OfProcessesAreGroupsOfTheirOwn) {
  for (uint32_t process = 0; process < 2; ++process)
    See(threads_.Find(recording_, process, 101, 50), {{"f", "a.py"}});
  EXPECT_THAT(Names(), ::testing::Each("f (a.py), thread 101"));
}

TEST_F(ThreadNames, OfTheParentsThreadsSayThatTheyAreNotThisProcesss) {
  See(threads_.FindInherited(0), {{"f", "a.py"}});
  EXPECT_THAT(Names(), ElementsAre("[before the fork]"));
}

}  // namespace
}  // namespace heapecho::aggregator

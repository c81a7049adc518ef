// SPDX-License-Identifier: Apache-2.0
#include "analyzer/reader/liveness/liveness.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace heapecho::reader {
namespace {

namespace fs = std::filesystem;
using model::ProcessState;

// More than the kernel ever gives out, so that nobody else is asked about it.
constexpr uint32_t kNoSuchPid = 50'000'000;

// A proc of our own: this boot, this namespace, one process.
class Liveness : public ::testing::Test {
 protected:
  Liveness() {
    std::string name = ::testing::TempDir() + "liveness-XXXXXX";
    proc_ = mkdtemp(name.data());
    fs::create_directories(proc_ / "sys/kernel/random");
    fs::create_directories(proc_ / "self/ns");
    std::ofstream(proc_ / "sys/kernel/random/boot_id") << "01020304-0506-0708-090a-0b0c0d0e0f10\n";
    std::ofstream(proc_ / "self/ns/pid");
    struct stat status {};
    stat((proc_ / "self/ns/pid").c_str(), &status);
    for (uint8_t i = 0; i < 16; ++i) recording_.boot_id.bytes[i] = static_cast<uint8_t>(i + 1);
    recording_.pid = kNoSuchPid;
    recording_.pid_namespace = static_cast<uint32_t>(status.st_ino);
    recording_.start_ticks = 4711;
  }
  ~Liveness() override { fs::remove_all(proc_); }

  void PutProcess(const std::string& name, char state, uint64_t start_ticks) {
    fs::create_directories(proc_ / std::to_string(kNoSuchPid));
    std::ofstream stat(proc_ / std::to_string(kNoSuchPid) / "stat");
    stat << kNoSuchPid << " (" << name << ") " << state;
    for (int field = 4; field < 22; ++field) stat << ' ' << field;
    stat << ' ' << start_ticks << " 1 2 3\n";
  }
  ProcessState State() const { return StateOf(recording_, proc_); }

  fs::path proc_;
  model::Recording recording_;
};

TEST_F(Liveness, BelievesTheProcessesOwnLastWord) {
  PutProcess("app", 'S', 4711);
  recording_.process_end = model::ProcessEnd::kExited;
  EXPECT_EQ(State(), ProcessState::kExited);
  recording_.process_end = model::ProcessEnd::kExec;
  EXPECT_EQ(State(), ProcessState::kExec);
}

TEST_F(Liveness, SeesAProcessThatRuns) {
  PutProcess("app", 'S', 4711);
  EXPECT_EQ(State(), ProcessState::kRunning);
}

TEST_F(Liveness, ReadsPastNamesThatLookLikeFields) {
  PutProcess("a) Z 1 (b c", 'R', 4711);
  EXPECT_EQ(State(), ProcessState::kRunning);
}

TEST_F(Liveness, TakesAProcessThatIsGoneForKilled) { EXPECT_EQ(State(), ProcessState::kKilled); }

TEST_F(Liveness, TakesAnotherProcessOfThePidForAnother) {
  PutProcess("app", 'S', 4712);
  EXPECT_EQ(State(), ProcessState::kKilled);
}

TEST_F(Liveness, TakesAZombieForKilled) {
  PutProcess("app", 'Z', 4711);
  EXPECT_EQ(State(), ProcessState::kKilled);
}

TEST_F(Liveness, DoesNotKnowOfOtherBootsAndNamespaces) {
  PutProcess("app", 'S', 4711);
  model::Recording other = recording_;
  other.boot_id.bytes[0] ^= 1;
  EXPECT_EQ(StateOf(other, proc_), ProcessState::kUnknown);
  other.boot_id = {};
  EXPECT_EQ(StateOf(other, proc_), ProcessState::kUnknown);
  other = recording_;
  other.pid_namespace += 1;
  EXPECT_EQ(StateOf(other, proc_), ProcessState::kUnknown);
  other.pid_namespace = 0;
  EXPECT_EQ(StateOf(other, proc_), ProcessState::kUnknown);
}

TEST_F(Liveness, DoesNotKnowWithoutProc) {
  EXPECT_EQ(StateOf(recording_, "/nonexistent"), ProcessState::kUnknown);
}

TEST_F(Liveness, TakesAStatThatCannotBeReadForNoProcess) {
  fs::create_directories(proc_ / std::to_string(kNoSuchPid));
  std::ofstream(proc_ / std::to_string(kNoSuchPid) / "stat") << "7 (app) S 1";
  EXPECT_EQ(State(), ProcessState::kKilled);
}

// The real /proc: a child that waits for us, then one that does not.
TEST(LivenessOfAChild, IsRunningUntilItIsKilled) {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  std::string boot_id, field;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot_id;
  std::erase(boot_id, '-');
  model::Recording recording;
  for (size_t i = 0; i < 16 && boot_id.size() == 32; ++i)
    recording.boot_id.bytes[i] =
        static_cast<uint8_t>(std::stoi(boot_id.substr(2 * i, 2), nullptr, 16));
  struct stat status {};
  stat("/proc/self/ns/pid", &status);
  recording.pid_namespace = static_cast<uint32_t>(status.st_ino);
  recording.pid = static_cast<uint32_t>(child);
  std::ifstream fields("/proc/" + std::to_string(child) + "/stat");
  for (int i = 1; i < 22; ++i) fields >> field;
  fields >> recording.start_ticks;
  const ProcessState before = StateOf(recording);
  kill(child, SIGKILL);
  // Dead but not reaped: a zombie.
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  const ProcessState zombie = StateOf(recording);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(before, ProcessState::kRunning);
  EXPECT_EQ(zombie, ProcessState::kKilled);
  EXPECT_EQ(StateOf(recording), ProcessState::kKilled);
}

}  // namespace
}  // namespace heapecho::reader

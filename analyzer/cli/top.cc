// SPDX-License-Identifier: Apache-2.0
// heapecho top: what running processes hold, off the first page of their recordings.
#include "analyzer/output/top.h"

#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/profile_request.h"
#include "analyzer/cli/variables.h"
#include "analyzer/reader/find_recordings.h"
#include "analyzer/reader/liveness/liveness.h"
#include "analyzer/reader/reader.h"

namespace heapecho::cli {
namespace {

constexpr int kRefreshMs = 1000;

struct Request {
  std::vector<std::string> paths;
  uint32_t pid = 0;  // 0: all
  output::TopSort sort = output::TopSort::kLive;
  bool once = false;
};

absl::StatusOr<Request> Parse(const Arguments& arguments) {
  Request request;
  request.paths = arguments.operands();
  if (request.paths.empty()) {
    const char* const directory = std::getenv(kDirectoryVariable);
    request.paths = {directory != nullptr ? directory : kDefaultDirectory};
  }
  if (arguments.Has("--pid") &&
      (!absl::SimpleAtoi(arguments.Get("--pid"), &request.pid) || request.pid == 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--pid ", arguments.Get("--pid"), ": must be a process's number"));
  }
  const absl::StatusOr<output::TopSort> sort =
      output::ParseTopSort(arguments.Get("--sort", "live"));
  if (!sort.ok()) return sort.status();
  request.sort = *sort;
  request.once = arguments.Has("--once");
  return request;
}

// What the kernel says is resident, of a process of this machine; 0: it does not say.
uint64_t ResidentBytes(uint32_t pid) {
  std::FILE* const file = std::fopen(absl::StrCat("/proc/", pid, "/statm").c_str(), "re");
  if (file == nullptr) return 0;
  unsigned long long pages = 0;
  const bool read = std::fscanf(file, "%*u %llu", &pages) == 1;
  std::fclose(file);
  return read ? pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

// Looks at all recordings again; those of processes that are over are not opened a second time.
class Watcher {
 public:
  explicit Watcher(Request request) : request_(std::move(request)) {}

  absl::StatusOr<std::vector<output::TopProcess>> Look() {
    const absl::StatusOr<std::vector<std::string>> files = reader::FindRecordings(request_.paths);
    if (!files.ok()) return files.status();
    std::vector<output::TopProcess> running;
    std::map<std::string, Before> now;
    const absl::Time time = absl::Now();
    for (const std::string& file : *files) {
      if (over_.contains(file)) continue;
      absl::StatusOr<model::Recording> recording = reader::ReadHead(file);
      if (!recording.ok()) continue;  // just begun, or no recording
      const model::ProcessState state = reader::StateOf(*recording);
      if (state == model::ProcessState::kExited || state == model::ProcessState::kKilled ||
          state == model::ProcessState::kExec) {
        over_.insert(file);
        continue;
      }
      if (request_.pid != 0 && recording->pid != request_.pid) continue;
      output::TopProcess process;
      process.state = state;
      if (state == model::ProcessState::kRunning) process.rss = ResidentBytes(recording->pid);
      now[file] = {time, recording->live.bytes, recording->allocated.bytes};
      if (const auto before = before_.find(file); before != before_.end()) {
        const double seconds = absl::ToDoubleSeconds(time - before->second.time);
        if (seconds > 0) {
          process.rates_known = true;
          process.live_per_second = (recording->live.bytes - before->second.live) / seconds;
          process.allocated_per_second =
              (recording->allocated.bytes - before->second.allocated) / seconds;
        }
      }
      process.recording = *std::move(recording);
      running.push_back(std::move(process));
    }
    before_ = std::move(now);
    return running;
  }

 private:
  struct Before {
    absl::Time time;
    double live, allocated;
  };
  const Request request_;
  std::set<std::string> over_;
  std::map<std::string, Before> before_;
};

// Keys as they are pressed, while it is; the terminal as it was afterwards.
class Keys {
 public:
  Keys() : is_terminal_(isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!is_terminal_) return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~Keys() {
    if (is_terminal_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  // The key that was pressed within that time; 0: none.
  char Wait(int milliseconds) const {
    pollfd stdin_poll = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    char key = 0;
    if (poll(&stdin_poll, is_terminal_ ? 1 : 0, milliseconds) == 1 &&
        read(STDIN_FILENO, &key, 1) == 1) {
      return key;
    }
    return 0;
  }

 private:
  termios before_ = {};
  const bool is_terminal_;
};

volatile sig_atomic_t g_stop = 0;

int Top(const Arguments& arguments) {
  const absl::StatusOr<Request> request = Parse(arguments);
  if (!request.ok()) return Fail(kBadInput, absl::StrCat("top: ", request.status().message()));
  Watcher watcher(*request);
  output::TopSort sort = request->sort;
  const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  // The terminal must be as it was when it ends.
  if (!request->once) {
    signal(SIGINT, [](int) { g_stop = 1; });
    signal(SIGTERM, [](int) { g_stop = 1; });
  }
  const Keys keys;
  bool shown = false;
  while (g_stop == 0) {
    const absl::StatusOr<std::vector<output::TopProcess>> running = watcher.Look();
    if (!running.ok() && (request->once || !shown)) return FailWith(running.status());
    const std::vector<output::TopProcess> processes =
        running.ok() ? *running : std::vector<output::TopProcess>{};
    if (processes.empty() && (request->once || !shown)) {
      return Fail(kNothing, absl::StrCat(request->paths.front(), ": nothing to show: no process ",
                                         request->pid != 0 ? absl::StrCat(request->pid, " ") : "",
                                         "that records there is running"));
    }
    shown = true;
    const std::string text = output::TopText(processes, sort, absl::Now());
    const absl::Status status =
        WriteOutput("", absl::StrCat(is_terminal && !request->once ? "\x1b[H\x1b[J" : "", text));
    if (!status.ok()) return Fail(kBadInput, status.message());
    if (request->once) return kDone;
    switch (keys.Wait(kRefreshMs)) {
      case 'q':
        return kDone;
      case 'l':
        sort = output::TopSort::kLive;
        break;
      case 'r':
        sort = output::TopSort::kRss;
        break;
      case 'g':
        sort = output::TopSort::kGrowth;
        break;
      case 'a':
        sort = output::TopSort::kAllocated;
        break;
      case 'p':
        sort = output::TopSort::kPid;
        break;
      default:
        break;
    }
  }
  return kDone;
}

}  // namespace

Command TopCommand() {
  return {"top",
          "[PATH...] [--pid N] [--once]",
          "what running processes hold, off their recordings; each second anew",
          {{"--pid", "N", "this process alone"},
           {"--sort", "live|rss|growth|allocated|pid",
            "by which column; default live. The keys l, r, g, a, p change it, q ends"},
           {"--once", "", "one look, for scripts"}},
          Operands::kFiles,
          Top};
}

}  // namespace heapecho::cli

// SPDX-License-Identifier: Apache-2.0
// What `report` prints: one summary per process, the merged profile and its sites ranked. Made by
// the aggregator (aggregator.h says how), written by output/report.h. Plain data, deterministic
// order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "analyzer/model/memory.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/recording.h"

namespace heapecho::model {

// What is known about a process from its recording and from looking whether it still runs.
enum class ProcessState : uint8_t {
  kUnknown,  // wrote no last word, and this is not the place where one could look
  kRunning,  // seen running
  kExited,   // said so; Recording::exit_status
  kKilled,   // wrote no last word and is gone
  kExec,     // replaced itself by another program
};
inline const char* ProcessStateName(ProcessState state) {  // as reports and the JSON spell it
  switch (state) {
    case ProcessState::kRunning:
      return "running";
    case ProcessState::kExited:
      return "exited";
    case ProcessState::kKilled:
      return "killed";
    case ProcessState::kExec:
      return "exec";
    case ProcessState::kUnknown:
      break;
  }
  return "unknown";
}

// Whether the OOM killer ended a process.
enum class OomKill : uint8_t { kNo, kLikely, kYes };
inline const char* OomKillName(OomKill oom_kill) {  // as reports and the JSON spell it
  switch (oom_kill) {
    case OomKill::kYes:
      return "yes";
    case OomKill::kLikely:
      return "likely";
    case OomKill::kNo:
      break;
  }
  return "no";
}

// How a process ended, from its own last word, its parent's, those who sent it signals, and from
// what was left unsaid (aggregator/ends.h).
struct End {
  ProcessState state = ProcessState::kUnknown;
  int exit_status = -1;  // of kExited; -1: unknown
  int signal = 0;        // of kKilled; 0: unknown
  OomKill oom_kill = OomKill::kNo;
  bool timed_out = false;  // its parent ended it without having asked it to stop before
  std::string
      evidence;  // in words, why it is said to have ended so; empty: its own last word, or none
  uint64_t time_ns = 0;   // on the recording's monotonic clock: when it was over, or last heard of
  uint64_t peak_rss = 0;  // bytes, the most that anybody saw; 0: unknown
  uint64_t memory_limit = 0;  // bytes, of its control group; 0: none known
};

// What held most when a process was last heard of: the innermost line of the application's own
// code, or else the function that allocates.
struct TopSite {
  Frame frame;
  Estimate estimate;
};

// A site that only grew over the points of the history that list it.
struct SteadySite {
  Frame frame;
  std::string cache;  // in words, where it is filled through one; empty: none that one could tell
  uint64_t since_realtime_ns = 0;
  double seconds = 0;            // from then to the last look
  double before = 0, after = 0;  // bytes
  double error = 0;              // of the rise, one standard error
  size_t looks = 0;
};

// What a process's memory did from a moment to its end.
struct GrowthWindow {
  uint64_t from_ns = 0;  // monotonic; 0: there is no such window
  uint64_t from_realtime_ns = 0;
  double seconds = 0;
  Estimate came, went;
  double live_before = 0;                             // bytes
  uint64_t rss_before = 0, rss_after = 0, limit = 0;  // bytes; 0: not known
};

// What is live was asked for at an earlier moment: how near to it the recording could come.
struct MomentShown {
  bool known = false;        // else the process held nothing then, or nobody knows
  bool by_point = false;     // of the history: for the stacks that it lists; else block by block
  uint64_t realtime_ns = 0;  // of what is shown
  double off_seconds = 0;    // later than was asked for
  double unlisted = 0;       // bytes without a stack
};

struct ProcessSummary {
  std::string name;  // what a person calls the program, e.g. "gunicorn"; never empty
  End end;
  Recording recording;  // without modules, nodes, stacks, threads, live blocks and events
  // This process alone, whole and unfiltered; live is summed from the live blocks, inherited ones
  // included. Recording::allocated, freed, live and peak are what the process itself kept.
  std::array<Estimate, 4> live{}, peak{}, allocated{};  // indexed by Domain
  // kGrown, kLast: of the window that is shown. kLive: of the last rise, if there was one.
  GrowthWindow growth;
  MomentShown moment;  // where an earlier moment was asked for
  MemoryAccount memory;             // at its last look, or at the moment that was asked for
  Estimate inherited;               // the part of live that was allocated before the fork
  std::vector<SteadySite> growing;  // those that rose most first
  std::optional<TopSite> top_site;  // of what is live; none where nothing is
  Estimate
      counted_elsewhere;  // the part of inherited that a live profile counts at another process
};

// An index into Profile::samples: a site is one distinct (domain, whole stack), which is what a
// sample is.
struct SampleId {
  uint32_t value = 0;
  friend auto operator<=>(SampleId, SampleId) = default;
};

// The sites that have their innermost interesting frame in common (see aggregator/sites.h).
struct SiteGroup {
  FrameId frame;  // into Profile::frames
  Domain domain = Domain::kMalloc;
  Estimate estimate;
  uint64_t oldest_ns = 0;
  uint32_t samples = 0;
  std::vector<SampleId> sites;  // largest first; in a comparison those that changed most
  Estimate before{};            // in a comparison; `estimate` is what is after
  Growth growth{};
};

// What one of those that the profile is told apart by has of it.
struct Share {
  std::string name;  // its root frames, outermost first, " / " between them
  Estimate estimate;
};

// Processes that ran the same command under one parent, one after the other or side by side.
struct WorkerGroup {
  RecordingId parent_id;  // zero: the parent left no recording
  uint32_t parent_pid = 0;
  std::string name;  // of the program
  std::string host, container;
  bool restart_loop = false;
  std::vector<size_t>
      generations;  // indices into Report::processes, in the order in which they began
};

enum class Severity : uint8_t { kNotice, kWarning, kCritical };
inline const char* SeverityName(Severity severity) {  // as reports and the JSON spell it
  switch (severity) {
    case Severity::kCritical:
      return "critical";
    case Severity::kWarning:
      return "warning";
    case Severity::kNotice:
      break;
  }
  return "notice";
}

// What a rule found: a sentence with its evidence and, where there is one, a way out.
struct Finding {
  using Evidence = std::variant<uint64_t, double, std::string, std::vector<std::string>>;
  std::string rule;  // e.g. "restart_loop"
  Severity severity = Severity::kNotice;
  std::string text;
  std::vector<std::pair<std::string, Evidence>> evidence;
};

struct Report {
  std::vector<ProcessSummary> processes;  // by begin_realtime_ns, then host, pid, id
  std::vector<WorkerGroup> workers;       // by when their first generation began
  std::vector<Finding> findings;          // the most severe first
  Profile profile;
  std::string by;                 // what stacks have root frames of, e.g. "thread"; empty: none
  std::vector<Share> shares;      // of each of these, largest first; empty without `by`
  std::vector<SampleId> sites;    // every sample, largest first
  std::vector<SiteGroup> groups;  // largest first
  std::vector<SiteGroup> own;     // by lines of the application's own Python code; largest first
  // kLive: what grew in the last rise of all processes that had one; by own lines where there are
  // any. `estimate` is what came, `before` what went; without sites.
  std::vector<SiteGroup> rising;
  std::string at;  // the moment that was asked for, in words; empty: the last one
};

}  // namespace heapecho::model

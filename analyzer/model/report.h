// SPDX-License-Identifier: Apache-2.0
// What `report` prints: one summary per process, the merged profile and its sites ranked. Made by
// the aggregator (aggregator.h says how), written by output/report.h. Plain data, deterministic
// order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

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

struct ProcessSummary {
  std::string name;  // what a person calls the program, e.g. "gunicorn"; never empty
  ProcessState state = ProcessState::kUnknown;
  Recording recording;  // without modules, nodes, stacks, threads, live blocks and events
  // This process alone, whole and unfiltered; live is summed from the live blocks, inherited ones
  // included. Recording::allocated, freed, live and peak are what the process itself kept.
  std::array<Estimate, 4> live{}, peak{}, allocated{};  // indexed by Domain
  Estimate inherited;  // the part of live that was allocated before the fork
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
};

// What one of those that the profile is told apart by has of it.
struct Share {
  std::string name;  // its root frames, outermost first, " / " between them
  Estimate estimate;
};

struct Report {
  std::vector<ProcessSummary> processes;  // by begin_realtime_ns, then host, pid, id
  Profile profile;
  std::string by;                 // what stacks have root frames of, e.g. "thread"; empty: none
  std::vector<Share> shares;      // of each of these, largest first; empty without `by`
  std::vector<SampleId> sites;    // every sample, largest first
  std::vector<SiteGroup> groups;  // largest first
  std::vector<SiteGroup> own;     // by lines of the application's own Python code; largest first
};

}  // namespace heapecho::model

// SPDX-License-Identifier: Apache-2.0
// Generations of workers, and whether they die in a loop.
#pragma once

#include <vector>

#include "analyzer/model/report.h"

namespace heapecho::aggregator {

// Processes of one command under one parent; where the parent left no recording, those of one host
// that have the same parent pid, or none (the first process of a container is restarted by somebody
// outside of it: its generations have a host in common, not a parent). A parent with one child is a
// group; a process without either is none, nor are commands that were run and ended well within
// 10 s. Their ends must have been joined.
std::vector<model::WorkerGroup> FindWorkers(const std::vector<model::ProcessSummary>& processes);

// Three of the group's generations that ended one after the other in the same way at one limit:
// indices into `processes`, the longest such run, in the order in which they ended; empty: there is
// none. In the same way means
//   - OOM-killed, surely or likely; or
//   - killed by one signal, or exited with one status other than 0, having held about as much
//   (within 10 %), of which at
//     least half was on the heap that was recorded: a limit that somebody else watches over. Not
//     those that their parent ended: those are time-outs and shutdowns.
// Workers that are replaced in good order (max_requests) end by themselves and are never a loop.
std::vector<size_t> RestartLoop(const std::vector<model::ProcessSummary>& processes,
                                const model::WorkerGroup& group);

}  // namespace heapecho::aggregator

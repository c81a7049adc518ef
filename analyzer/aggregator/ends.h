// SPDX-License-Identifier: Apache-2.0
// How each process ended: what it said itself, what its parent was told, who sent it a signal,
// joined over all recordings.
//
//   the parent's word  comes first: status, signal, the most memory. A child is found by its pid
//   and by when it
//                      began, within one boot and pid namespace; a child in a pid namespace of its
//                      own by its parent's id and the moment of the fork.
//   its own last word  exit status or exec
//   the sender's note  names the signal and who sent it, where no parent waited
//   oom_kill           yes: the parent saw the OOM killer's count rise, and nobody is known to have
//   sent the SIGKILL.
//                      no: the count did not rise, or the sender is known. likely: several
//                      processes died of which the count explains only some; or no parent saw it,
//                      and its control group was above 95 % of its limit when it was last looked
//                      at: its own, or that of one that fell silent in the same second, as where
//                      the OOM killer takes a whole group, its master included.
//   timed_out          its parent sent SIGABRT or SIGKILL without having asked it to stop: an
//   arbiter's time-out
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"

namespace heapecho::aggregator {

// Completes each process's end, of which its own and the reader's word (End::state) are there.
// `bystanders`: recordings that are not summarised but may know something of those that are.
void JoinEnds(absl::Span<const model::Recording> bystanders,
              std::vector<model::ProcessSummary>* processes);

}  // namespace heapecho::aggregator

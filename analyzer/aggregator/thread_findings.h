// SPDX-License-Identifier: Apache-2.0
// What is worth a sentence of its own about threads.
//
//   thread_per_request  warning: a hundred threads and more, and ten times as many as there ever were
//                       at once
//   threads_stay        warning: two hundred at once, nearly all that there ever were
//
// One finding a rule for all processes that it holds for. A process whose threads were not counted at
// once has none.
#pragma once

#include <vector>

#include "analyzer/model/report.h"

namespace heapecho::aggregator {

std::vector<model::Finding> FindThreadFindings(const std::vector<model::ProcessSummary>& processes);

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
// What is worth a sentence of its own in a report. Each rule has a name, and says what it saw.
//
//   restart_loop       critical: three or more workers in a row ended alike at one limit (workers.h)
//   worker_timeouts    warning: a parent ended workers of its without having asked them to stop
//   several_instances  warning: one command ran on two hosts or in two containers, at one time, and
//                      all wrote to this directory
//
// The rules of thread_findings.h, program_findings.h, memory_findings.h and growth_findings.h are
// among them.
#pragma once

#include <vector>

#include "analyzer/model/report.h"

namespace heapecho::aggregator {

// Of a report whose ends are joined and whose workers are found. The most severe first.
std::vector<model::Finding> FindFindings(const model::Report& report);

}  // namespace heapecho::aggregator

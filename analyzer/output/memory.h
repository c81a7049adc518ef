// SPDX-License-Identifier: Apache-2.0
// Where the memory went: each process's resident memory part by part, the unexplained rest a line
// of its own. Pure functions.
#pragma once

#include <string>

#include "analyzer/model/report.h"
#include "analyzer/output/json_parts.h"

namespace heapecho::output {

// A table in MiB: the process that had most resident, those that ran beside it then, largest first,
// and their sum. Empty where nobody looked.
std::string MemoryText(const model::Report& report);

// `memory` of a recording in the report's JSON: what is not known has no key.
Json MemoryJson(const model::ProcessSummary& process);

}  // namespace heapecho::output

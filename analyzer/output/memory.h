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

// `memory` of a recording in the report's JSON: what is not known has no key. kernel_bytes are the
// control group's.
Json MemoryJson(const model::ProcessSummary& process);

// `cgroup` of a recording: what its control group held by kind. Empty where nobody looked.
Json CgroupJson(const model::CgroupMemory& group);

}  // namespace heapecho::output

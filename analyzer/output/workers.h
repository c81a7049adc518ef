// SPDX-License-Identifier: Apache-2.0
// Workers by generation, and what was found out, for `heapecho workers` and as parts of the report.
// Pure functions of the report; deterministic to the byte.
#pragma once

#include <string>

#include "analyzer/model/report.h"

namespace heapecho::output {

// Findings, then a table for each group of workers: when they lived, how they ended, how much of
// their limit they needed, what they held last. "no workers" where there is none.
std::string WorkersText(const model::Report& report);

// {"schema", "workers", "findings", "warnings"}, as the report's JSON has them.
std::string WorkersJson(const model::Report& report);

// A line for each finding, under a heading; nothing where there is none.
std::string FindingsText(const model::Report& report);

// The arrays of those names.
void AppendWorkersJson(const model::Report& report, std::string* out);
void AppendFindingsJson(const model::Report& report, std::string* out);

}  // namespace heapecho::output

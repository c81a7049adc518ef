// SPDX-License-Identifier: Apache-2.0
// The summary: who wrote it, how it ended, where the memory went. As text for the person on call and as
// JSON (schema 1) for programs. Pure functions of the report; deterministic to the byte.
#pragma once

#include <cstddef>
#include <string>

#include "analyzer/model/report.h"

namespace heapecho::output {

struct ReportOptions {
  size_t top = 10;     // groups of sites shown in the text
  size_t frames = 8;   // callers shown under each
};

std::string ReportText(const model::Report& report, const ReportOptions& options = {});

// Every site. Bytes and objects are rounded to whole numbers, ages to milliseconds.
std::string ReportJson(const model::Report& report);

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// The summary: who wrote it, how it ended, where the memory went. As text for the person on call
// and as JSON (schema 1) for programs. Pure functions of the report; deterministic to the byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "analyzer/model/report.h"

namespace heapecho::output {

struct ReportOptions {
  size_t top = 10;    // functions shown
  size_t frames = 8;  // frames shown of each one's largest site
};

std::string ReportText(const model::Report& report, const ReportOptions& options = {});

// The `top` largest sites. One recording and one site a line. Bytes and objects are rounded to
// whole numbers, ages to milliseconds; what is not known has no key. Text that is no UTF-8 (a path
// may be none) has U+FFFD where it is not.
std::string ReportJson(const model::Report& report, size_t top = SIZE_MAX);

}  // namespace heapecho::output

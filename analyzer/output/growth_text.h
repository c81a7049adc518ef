// SPDX-License-Identifier: Apache-2.0
// What memory did over time, in the words of a report: the last rise, what grew in a window, which
// moment is shown. Pure functions.
#pragma once

#include <string>

#include "analyzer/model/report.h"
#include "analyzer/output/report.h"

namespace heapecho::output {

// "The last minutes": how much live memory rose before the end, since when, against RSS and limit,
// and who did it. Empty where no process has a history; one line where nothing rose.
std::string LastMinutes(const model::Report& report);

// Of a report of kGrown or kLast: the window, what came and went, the groups that grew beyond doubt
// and the others, with rates and the ages of what came.
std::string GrowthText(const model::Report& report, const ReportOptions& options);

// Of a report of another moment than the last: which moments are shown. Else empty.
std::string MomentText(const model::Report& report);

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// How a process ended, in a few words. Pure functions.
#pragma once

#include <string>

#include "analyzer/model/report.h"

namespace heapecho::output {

// "running", "exited 3", "killed SIGTERM", "OOM-killed", "probably OOM-killed", "exited 1
// (time-out)".
std::string EndText(const model::End& end);

// The same for many: without what differs between processes.
std::string KindOfEnd(const model::End& end);

}  // namespace heapecho::output

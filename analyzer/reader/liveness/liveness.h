// SPDX-License-Identifier: Apache-2.0
// Whether the process that wrote a recording still runs: the one thing a recording cannot say
// itself.
#pragma once

#include <string>

#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"

namespace heapecho::reader {

// Exited and exec are the process's own words. Without one: running or killed if this machine, boot
// and pid namespace are those of the recording and its /proc can tell; else unknown. A zombie
// counts as killed: it runs no more. A pid that was given to another process since (other start
// time) is not the same process. Reads `proc`/self/ns/pid, `proc`/sys/kernel/random/boot_id and
// `proc`/PID/stat.
model::ProcessState StateOf(const model::Recording& recording, const std::string& proc = "/proc");

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// A recording's records as text, one a line, nothing left out and nothing added up: for whoever
// wants to see what is in the file, or to put it through grep and awk.
//
// Parts come in the file's order of thought: header, identity, counters, sections, modules, Python
// code, stacks (each with its frames, innermost first: native ones as module+0xaddress in the ELF,
// those that evaluate Python say so; then Python ones as code+instruction, those that begin a group
// say so), live blocks, mapped ranges, events,
// points of the history (each with what its stacks held), warnings. Each line begins with the name of its record and goes on with key=value; values that
// hold spaces, quotes, line breaks or bytes that do not print are quoted and escaped as in C.
// Amounts are bytes, times are nanoseconds of the recording's monotonic clock. Pure; equal
// recordings give equal bytes, but for file= and disk_bytes=, which the machine decides.
#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "analyzer/model/recording.h"

namespace heapecho::output {

// Hands the text over in pieces, so that a large recording needs no memory for it.
void Dump(const model::Recording& recording, absl::FunctionRef<void(absl::string_view)> write);

std::string Dump(const model::Recording& recording);

}  // namespace heapecho::output

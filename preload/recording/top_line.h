// SPDX-License-Identifier: Apache-2.0
// Where a process that is gone held its memory, as one line of its own Python code, read off its
// recording by its parent.
//
// Alternatives: `heapecho run` as a process that stays above the service and runs the analyzer
// would be one more to supervise, and is not there where a Dockerfile preloads; starting the
// analyzer from here would fork within somebody else's wait. Native code is not named: that needs
// symbols.
//
// Trusts nothing of the file: each length and index is checked, every chain is cut. Reads by pread,
// so that a file that becomes shorter meanwhile is no SIGBUS. Signal-safe, allocates nothing; up to
// 5 MiB are mapped for the moment, and only pages that are needed touched.
#pragma once

#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::recording {

struct TopLine {
  uint32_t percent;    // of what was live; 0: no line of its own holds a tenth of it
  uint32_t line;       // 0: not known
  char file[96];       // its last part, printable
  char function[128];  // printable; qualified from Python 3.11 on
};

// `header` is that of the recording `fd`, and not yet checked. All that is live below one function
// of the application's own, the innermost such on each stack, counts together; the line is that of
// its largest stack. As `heapecho workers` does it.
TopLine FindTopLine(int fd, const wire::FileHeader& header);

}  // namespace heapecho::recording

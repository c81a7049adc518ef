// SPDX-License-Identifier: Apache-2.0
// The one line that a process writes to its stderr for each worker of its that was killed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/recording/top_line.h"
#include "preload/wire/format.h"

namespace heapecho::recording {

// Too large for a caller's stack.
struct NoticeScratch {
  char entries[32 << 10];
  char path[1024];
  char line[1536];
  wire::FileHeader self, header;
  char text[8 << 10];
};

// Writes the line for the child that `reaped` says was killed, as base::Tell() writes: who, how, at
// how much memory of its limit, and the command that shows what it held. Nothing for a child that
// left no recording in `directory` and was not forked by this process: a command that it ran, no
// worker. Nothing for signals by which people end what they started (SIGTERM, SIGINT, SIGHUP,
// SIGPIPE). `signalled`: this process had sent that signal to it. Signal-safe, allocates nothing.
void TellOfKill(const wire::ChildRecord& reaped, bool signalled, const char* directory,
                NoticeScratch& scratch);

// The line itself, with its newline, into `line`; returns its length. `file` may be empty. For
// tests.
size_t FormatNotice(const wire::ChildRecord& reaped, bool signalled, const TopLine& top,
                    const char* file, char* line, size_t room);

}  // namespace heapecho::recording

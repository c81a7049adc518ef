// SPDX-License-Identifier: Apache-2.0
// Recordings that several tests look at. What they hold is part of the tests that name them.
#pragma once

#include <cstdint>

#include "tests/support/recording_builder.h"

namespace heapecho::testing {

// A forked worker that was never heard of again: two modules (one unloaded), three stacks that
// share frames, one truncated, an inherited block, a freed one and two live ones, counters and
// identity.
RecordingBuilder SmallRecording();

// SmallRecording with a history: three points, one of which stands for several, the last one with
// stacks that hold and one that is not there.
RecordingBuilder HistoryRecording();

// The example of preload/wire/FORMAT.md: one module, one stack of two frames, one block, still
// live.
RecordingBuilder TinyRecording();

// As an interpreter leaves it: two stacks that share Python frames of three kinds of line tables,
// one with frames left over, one of code that is not listed; one stack without Python; three threads.
RecordingBuilder PythonRecording();

struct LargeShape {
  uint32_t stacks = 30'000;
  uint32_t live = 30'000;
  uint32_t events = 500'000;
  bool compact = false;  // sections as large as their contents, 4 KiB blocks; else as in 64 MiB
};

// As a busy service leaves it: deep stacks that share most frames, every section well used, the
// budget of the default. The same shape gives the same bytes.
RecordingBuilder LargeRecording(const LargeShape& shape);

}  // namespace heapecho::testing

// SPDX-License-Identifier: Apache-2.0
// Bytes to a recording: the one door through which files come in. Trusts nothing that they say.
//
// What the result promises: Recording::CheckValid() is empty, whatever the bytes were. A recording
// that is damaged, cut off or being written at this moment gives what it holds, and `warnings` say
// in words what was left out. Only a file that cannot be told for a recording of a known version is
// an error: one line that begins with its name and says what is wrong. Memory: at most about twice
// the bytes that are present (a sparse file's holes are neither read nor kept), whatever sizes and
// indices the file claims. Thread-safe in that calls share nothing.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "analyzer/model/recording.h"

namespace heapecho::reader {

// Events are most of a recording and few questions need them: kCheck reads them all, so that what is torn is
// counted and the last moment known, and keeps none.
enum class Events { kKeep, kCheck };

// Reads without mapping, so the file may be written, truncated or removed meanwhile. NotFound,
// PermissionDenied and the like when it cannot be opened; InvalidArgument when it is no recording.
absl::StatusOr<model::Recording> ReadRecording(const std::string& path,
                                               Events events = Events::kKeep);

// What its first page, its identity and its counters say: who wrote it, and the process's totals
// now. A few small reads, whatever the recording's size. Errors as ReadRecording's.
absl::StatusOr<model::Recording> ReadHead(const std::string& path);

// ReadRecording from memory; `name` stands for the path in the result and in errors.
absl::StatusOr<model::Recording> ParseRecording(absl::Span<const uint8_t> bytes,
                                                const std::string& name,
                                                Events events = Events::kKeep);

}  // namespace heapecho::reader

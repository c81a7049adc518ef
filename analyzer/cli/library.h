// SPDX-License-Identifier: Apache-2.0
// Where the preload library is, and whether a program's own loader takes it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analyzer/cli/target.h"

namespace heapecho::cli {

// The absolute path of libheapecho.so: beside this executable, or in ../lib/heapecho. NotFound,
// naming the places that were looked at; FailedPrecondition where LD_PRELOAD could not hold the
// path.
absl::StatusOr<std::string> FindLibrary();

// The absolute path of this program.
std::string OwnExecutable();

// The library of an allocator to be preloaded below ours: of jemalloc, tcmalloc and mimalloc the
// name by which the target's loader finds it, of a path the absolute one. InvalidArgument where it
// is neither.
absl::StatusOr<std::string> AllocatorLibrary(const std::string& allocator);

// Lets the target's own loader map the target with our library preloaded and, if `allocator` is not
// empty, that one behind it, without running a line of it. OK, or FailedPrecondition with the
// loader's own complaint, e.g. a symbol version that its libc lacks.
absl::Status TryLibrary(const std::string& library, const std::string& allocator,
                        const Target& target);

// LD_PRELOAD's new value: the library first, so that an allocator that is preloaded too stays the
// next one after it; then `allocator`, unless it is empty; what was there follows. Nothing is put
// in twice.
std::string PreloadValue(const std::string& library, const std::string& allocator,
                         const std::string& before);

}  // namespace heapecho::cli

// SPDX-License-Identifier: Apache-2.0
// Which frames of a stack with Python in it are shown: the program's, and what allocates in the
// end; not how the interpreter gets from one to the other.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "analyzer/aggregator/aggregator.h"
#include "analyzer/model/profile.h"

namespace heapecho::aggregator {

inline constexpr absl::string_view kUnknownCode =
    "[unknown code]";                                     // a Python frame without a name
inline constexpr absl::string_view kFolded =
    "[folded]";  // stands for innermost frames that made room for others
inline constexpr absl::string_view kImport = "[import]";  // stands for the import machinery

// A frame's part in a stack.
enum class Role : uint8_t {
  kOther,        // native code of the program and of libraries
  kInterpreter,  // the interpreter's that does something: types, built-in functions and modules
  kPython,
  kPlumbing,      // the interpreter's evaluation loop and how it makes calls
  kNameless,      // the interpreter's, and its file has no name for it
  kPythonImport,  // importlib's
  kNativeImport,  // the interpreter's own part of an import
  kStart,          // how a process or a thread gets to its first function
  kGreenletStart,  // the same of a greenlet
};

// `interpreters`: file names of the modules in which Python was evaluated; functions of other
// modules are no plumbing, whatever their names. The tables in folding.cc are the definition. Of
// names only what is in front of a point or an @ counts ("method_vectorcall.lto_priv.0",
// "__libc_start_main@@GLIBC_2.34").
Role RoleOf(const model::Frame& frame, const std::set<std::string>& interpreters);

// What is left of a stack, root first: indices into `roles` (a role for each frame), and
// kImportFrame where import machinery stood. A stack without Python frames is left as it is,
// whatever is asked for; else
//   full   all but plumbing, wherever it is (unless it is the allocating frame itself); nameless
//          frames outside of the innermost Python frame; outside of the outermost one everything
//          of the interpreter's, and what starts a process or thread
//   leaf   of that, Python frames and the native ones inside of the innermost
//   none   of that, Python frames
// A greenlet's stack begins at its innermost kGreenletStart: native frames outside of that are what
// lies in memory there, of other greenlets or of none, and are left out whatever is asked for.
// with a run of import machinery as one frame. With `internals` nothing is left out for what it is,
// and nothing collapses.
bool IsGreenlets(const std::vector<Role>& roles);
inline constexpr uint32_t kImportFrame = UINT32_MAX;
std::vector<uint32_t> Fold(const std::vector<Role>& roles, Native native, bool internals);

}  // namespace heapecho::aggregator

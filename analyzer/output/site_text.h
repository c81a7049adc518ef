// SPDX-License-Identifier: Apache-2.0
// The words that reports for people have in common: counts, times, frames and the stack of a site.
// Pure functions; what they give is safe to print on a terminal.
#pragma once

#include <cstddef>
#include <string>

#include "absl/time/time.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/report.h"

namespace heapecho::output {

std::string Plural(size_t count, const char* noun);  // "1 stack", "1,200 stacks"

// "12 s", "4 min 10 s", "3 h 5 min", "2 d 4 h": the two largest units; a negative one is "0 s".
std::string Duration(absl::Duration duration);

std::string DateAndTime(absl::Time time);  // "2025-01-01 09:30:05", in UTC

// What follows the last slash.
std::string BaseName(const std::string& path);

// "function (module) file.c:12"; of Python "function package/file.py:12".
std::string FrameText(const model::Frame& frame);

// The first site of a group, a line a frame: the function that stands for the group, then at most
// `most` - 1 of its callers. A function that calls itself, as an interpreter's loop does, is shown
// once, where it is innermost. The frame on whose behalf another thread did it is shown in any
// case.
std::string StackText(const model::Profile& profile, const model::SiteGroup& group, size_t most);

// What the reader must know of how the profile came about, a line each; that there is nothing, too.
std::string WarningsText(const model::Profile& profile);

}  // namespace heapecho::output

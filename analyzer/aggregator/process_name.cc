// SPDX-License-Identifier: Apache-2.0
// What a person calls a program that an interpreter runs.
#include <cctype>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "analyzer/aggregator/aggregator.h"

namespace heapecho::aggregator {
namespace {

absl::string_view FileName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// "python", "python3", "python3.11", "pypy3".
bool IsPython(absl::string_view name) {
  for (const absl::string_view prefix : {"python", "pypy"}) {
    if (!absl::StartsWith(name, prefix)) continue;
    for (const char c : name.substr(prefix.size()))
      if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) && c != '.') return false;
    return true;
  }
  return false;
}

// Python's options that take the next argument when nothing is attached to them.
bool TakesArgument(absl::string_view option) { return option == "-W" || option == "-X"; }

// The script or module among an interpreter's arguments; empty: it was given none.
absl::string_view Script(const std::vector<std::string>& command) {
  for (size_t i = 1; i < command.size(); ++i) {
    const absl::string_view argument = command[i];
    if (argument == "-m") return i + 1 < command.size() ? absl::string_view(command[i + 1]) : "";
    if (argument == "-c" || argument == "-") return "";
    if (!absl::StartsWith(argument, "-")) return FileName(argument);
    if (TakesArgument(argument)) ++i;
  }
  return "";
}

}  // namespace

std::string ProcessName(const model::Identity& identity) {
  absl::string_view name = identity.command.empty() ? "" : FileName(identity.command.front());
  if (IsPython(name)) {
    const absl::string_view script = Script(identity.command);
    if (!script.empty()) name = script;
  }
  if (name.empty()) name = FileName(identity.executable);
  return name.empty() ? "process" : std::string(name);
}

}  // namespace heapecho::aggregator

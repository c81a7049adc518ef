// SPDX-License-Identifier: Apache-2.0
// Where the preload library is, and whether a loader takes it; the contract is in the header.
#include "analyzer/cli/library.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "analyzer/cli/child.h"

namespace heapecho::cli {
namespace {

constexpr char kLibrary[] = "libheapecho.so";

// The names that their builds have carried for years; the loader's own search finds the file.
constexpr std::pair<const char*, const char*> kAllocators[] = {
    {"jemalloc", "libjemalloc.so.2"},
    {"tcmalloc", "libtcmalloc_minimal.so.4"},
    {"mimalloc", "libmimalloc.so.2"}};

std::string RealPath(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return "";
  std::string out = resolved;
  std::free(resolved);
  return out;
}

bool FitsIntoPreload(const std::string& path) {
  return path.find_first_of(" :;\t\n") == std::string::npos;
}

absl::Status PreloadCannotHold(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": LD_PRELOAD cannot hold a path with spaces, colons or semicolons"));
}

}  // namespace

std::string OwnExecutable() { return RealPath("/proc/self/exe"); }

absl::StatusOr<std::string> FindLibrary() {
  const std::string executable = OwnExecutable();
  const std::string folder = executable.substr(0, executable.rfind('/'));
  std::vector<std::string> places;
  for (const char* place : {"/", "/../lib/heapecho/"}) {
    places.push_back(absl::StrCat(folder, place, kLibrary));
    const std::string found = RealPath(places.back());
    if (found.empty()) continue;
    if (!FitsIntoPreload(found)) return PreloadCannotHold(found);
    return found;
  }
  return absl::NotFoundError(
      absl::StrCat(kLibrary, ": is not there; looked for ", absl::StrJoin(places, " and ")));
}

absl::StatusOr<std::string> AllocatorLibrary(const std::string& allocator) {
  for (const auto& [name, library] : kAllocators) {
    if (allocator == name) return std::string(library);
  }
  if (!absl::StrContains(allocator, '/')) {
    return absl::InvalidArgumentError(absl::StrCat(
        allocator,
        ": is no allocator that is known by name (jemalloc, tcmalloc, mimalloc) and no path"));
  }
  const std::string path = RealPath(allocator);
  if (path.empty()) return absl::InvalidArgumentError(absl::StrCat(allocator, ": is not there"));
  if (!FitsIntoPreload(path)) return PreloadCannotHold(path);
  return path;
}

absl::Status TryLibrary(const std::string& library, const std::string& allocator,
                        const Target& target) {
  // --list maps the program with everything it needs and prints the list instead of starting it;
  // bound at once, so that a missing symbol is found now.
  const absl::StatusOr<Answer> answer = RunToEnd(
      {target.loader, "--list", target.program},
      {absl::StrCat("LD_PRELOAD=", PreloadValue(library, allocator, "")), "LD_BIND_NOW=1"});
  if (!answer.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(target.program, ": its loader cannot be asked: ", answer.status().message()));
  }
  for (const std::string& wanted : {library, allocator}) {
    if (wanted.empty()) continue;
    bool loaded = false;
    for (const absl::string_view line : absl::StrSplit(answer->text, '\n')) {
      if (!absl::StrContains(line, wanted)) continue;
      if (absl::StrContains(line, "cannot be preloaded") || absl::StrContains(line, "not found") ||
          absl::StrContains(line, "undefined symbol")) {
        return absl::FailedPreconditionError(absl::StrCat(
            target.program, ": its loader refuses ", wanted == library ? "the library" : wanted,
            ": ", absl::StripAsciiWhitespace(line)));
      }
      loaded = loaded || absl::StrContains(line, "(0x");
    }
    if (!loaded) {
      return absl::FailedPreconditionError(
          absl::StrCat(target.program, ": its loader ", target.loader, " does not load ", wanted));
    }
  }
  return absl::OkStatus();
}

std::string PreloadValue(const std::string& library, const std::string& allocator,
                         const std::string& before) {
  std::vector<std::string> names = {library};
  if (!allocator.empty()) names.push_back(allocator);
  for (const absl::string_view name :
       absl::StrSplit(before, absl::ByAnyChar(" :"), absl::SkipEmpty())) {
    if (name != library && name != allocator) names.emplace_back(name);
  }
  return absl::StrJoin(names, ":");
}

}  // namespace heapecho::cli

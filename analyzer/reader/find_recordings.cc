// SPDX-License-Identifier: Apache-2.0
#include "analyzer/reader/find_recordings.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapecho::reader {
namespace {

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (directory == nullptr)
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be listed"));
  std::vector<std::string> files;
  const char* separator = absl::EndsWith(path, "/") ? "" : "/";
  while (const dirent* entry = readdir(directory.get())) {
    if (absl::EndsWith(entry->d_name, ".heapecho") && entry->d_name[0] != '.') {
      files.push_back(absl::StrCat(path, separator, entry->d_name));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FindRecordings(const std::vector<std::string>& paths) {
  std::vector<std::string> found;
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const std::string& path : paths) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be found"));
    }
    if (!S_ISDIR(status.st_mode)) {
      if (seen.emplace(status.st_dev, status.st_ino).second) found.push_back(path);
      continue;
    }
    absl::StatusOr<std::vector<std::string>> files = ListDirectory(path);
    if (!files.ok()) return files.status();
    bool any = false;
    for (std::string& file : *files) {
      // One that is gone by now was pruned meanwhile; a folder of such a name is no recording.
      if (stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
      any = true;
      if (seen.emplace(status.st_dev, status.st_ino).second) found.push_back(std::move(file));
    }
    if (!any) return absl::NotFoundError(absl::StrCat(path, ": holds no recordings (*.heapecho)"));
  }
  return found;
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/cgroup.h"

#include <string.h>

#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

struct Version {
  const char* root;
  const char* limit;
  const char* current;
  const char* events;
};
constexpr Version kV1 = {"/sys/fs/cgroup/memory", "/memory.limit_in_bytes",
                         "/memory.usage_in_bytes", "/memory.oom_control"};
constexpr Version kV2 = {"/sys/fs/cgroup", "/memory.max", "/memory.current", "/memory.events"};

// The path of the memory cgroup in /proc/self/cgroup's text, cut out in place; null if there is
// none.
const char* MemoryCgroupPath(char* text, const Version** version) {
  char* unified = nullptr;
  for (char* line = text; *line != '\0';) {
    char* end = strchr(line, '\n');
    if (end != nullptr) *end = '\0';
    // hierarchy-id:controllers:path
    char* controllers = strchr(line, ':');
    char* path = controllers != nullptr ? strchr(controllers + 1, ':') : nullptr;
    if (path != nullptr) {
      *path++ = '\0';
      if (strstr(controllers + 1, "memory") != nullptr) {
        *version = &kV1;
        return path;
      }
      if (strncmp(line, "0:", 2) == 0) unified = path;
    }
    if (end == nullptr) break;
    line = end + 1;
  }
  *version = &kV2;
  return unified;
}

// Makes scratch.path the directory of the process's own group. Null: it is in none that has a
// memory controller.
const Version* OwnGroup(CgroupScratch& scratch) {
  ReadSmallFile("/proc/self/cgroup", scratch.text, sizeof scratch.text);
  const Version* version;
  const char* group = MemoryCgroupPath(scratch.text, &version);
  constexpr size_t kLongestFile = 32;
  if (group == nullptr ||
      strlen(version->root) + strlen(group) + kLongestFile > sizeof scratch.path) {
    return nullptr;
  }
  strcpy(scratch.path, version->root);
  strcat(scratch.path, group);
  return version;
}

// Makes scratch.path the group above; false: this is the root.
bool GoUp(CgroupScratch& scratch, const Version& version) {
  if (strlen(scratch.path) <= strlen(version.root)) return false;
  *strrchr(scratch.path, '/') = '\0';
  return true;
}

// Of the group that scratch.path names and those above it, as far as they can be seen.
uint64_t LowestLimit(CgroupScratch& scratch, const Version& version) {
  constexpr uint64_t kUnlimited = uint64_t{1} << 60;
  uint64_t lowest = 0;
  do {
    if (!ReadCgroupFile(scratch, version.limit)) continue;
    const uint64_t limit = ParseDecimal(scratch.text);  // "max" parses as 0: no limit
    if (limit != 0 && limit < kUnlimited && (lowest == 0 || limit < lowest)) lowest = limit;
  } while (GoUp(scratch, version));
  return lowest;
}

// The same, or the innermost one above it that can be seen.
const Version* VisibleGroup(CgroupScratch& scratch) {
  const Version* version = OwnGroup(scratch);
  if (version == nullptr) return nullptr;
  while (!ReadCgroupFile(scratch, version->current) && GoUp(scratch, *version)) {
  }
  return version;
}

}  // namespace

bool ReadCgroupFile(CgroupScratch& scratch, const char* file) {
  const size_t length = strlen(scratch.path);
  strcat(scratch.path, file);
  const bool read = ReadSmallFile(scratch.path, scratch.text, sizeof scratch.text) != 0;
  scratch.path[length] = '\0';
  return read;
}

CgroupVersion FindCgroup(CgroupScratch& scratch) {
  const Version* version = VisibleGroup(scratch);
  if (version == nullptr) return CgroupVersion::kNone;
  return version == &kV1 ? CgroupVersion::kV1 : CgroupVersion::kV2;
}

bool ParseOomKills(const char* text, uint64_t* kills) {
  constexpr char kWord[] = "oom_kill ";
  const char* found = strstr(text, kWord);
  while (found != nullptr && found != text && found[-1] != '\n') found = strstr(found + 1, kWord);
  if (found == nullptr) return false;
  *kills = ParseDecimal(found + strlen(kWord));
  return true;
}

CgroupMemory ReadCgroupMemory(CgroupScratch& scratch) {
  CgroupMemory memory = {};
  const Version* version = VisibleGroup(scratch);
  if (version == nullptr) return memory;
  if (ReadCgroupFile(scratch, version->current)) memory.current = ParseDecimal(scratch.text);
  memory.oom_kills_known =
      ReadCgroupFile(scratch, version->events) && ParseOomKills(scratch.text, &memory.oom_kills);
  memory.limit = LowestLimit(scratch, *version);
  return memory;
}

uint64_t CgroupMemoryLimit(CgroupScratch& scratch) {
  const Version* version = OwnGroup(scratch);
  return version != nullptr ? LowestLimit(scratch, *version) : 0;
}

}  // namespace heapecho::recording

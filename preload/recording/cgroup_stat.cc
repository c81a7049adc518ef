// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/cgroup_stat.h"

#include <string.h>

#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

// The number behind `name` and a space where they begin a line; `none` where no line does.
uint64_t ValueOf(const char* text, const char* name, uint64_t none = 0) {
  const size_t length = strlen(name);
  for (const char* line = text; line != nullptr && *line != '\0';) {
    if (strncmp(line, name, length) == 0 && line[length] == ' ') {
      return ParseDecimal(line + length + 1);
    }
    line = strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return none;
}

uint64_t NumberIn(CgroupScratch& scratch, const char* file) {
  return ReadCgroupFile(scratch, file) ? ParseDecimal(scratch.text) : 0;
}

}  // namespace

void ParseCgroupStat(const char* text, CgroupStat* stat) {
  constexpr uint64_t kNone = UINT64_MAX;
  const uint64_t cache = ValueOf(text, "total_cache", kNone);
  if (cache != kNone) {  // v1
    stat->file = cache;
    stat->anon = ValueOf(text, "total_rss");
    stat->shmem = ValueOf(text, "total_shmem");
    stat->inactive_file = ValueOf(text, "total_inactive_file");
    stat->known = true;
    return;
  }
  stat->anon = ValueOf(text, "anon", kNone);
  stat->known = stat->anon != kNone;
  if (!stat->known) stat->anon = 0;
  stat->file = ValueOf(text, "file");
  stat->shmem = ValueOf(text, "shmem");
  stat->inactive_file = ValueOf(text, "inactive_file");
  stat->kernel = ValueOf(text, "kernel");
  stat->slab = ValueOf(text, "slab");
  stat->page_tables = ValueOf(text, "pagetables");
  stat->kernel_stack = ValueOf(text, "kernel_stack");
  stat->sock = ValueOf(text, "sock");
}

CgroupStat ReadCgroupStat(CgroupScratch& scratch) {
  CgroupStat stat = {};
  const CgroupVersion version = FindCgroup(scratch);
  if (version == CgroupVersion::kNone || !ReadCgroupFile(scratch, "/memory.stat")) return stat;
  ParseCgroupStat(scratch.text, &stat);
  if (version == CgroupVersion::kV1) {
    stat.kernel = NumberIn(scratch, "/memory.kmem.usage_in_bytes");
    stat.sock = NumberIn(scratch, "/memory.kmem.tcp.usage_in_bytes");
    stat.peak = NumberIn(scratch, "/memory.max_usage_in_bytes");
    stat.limit_hits = NumberIn(scratch, "/memory.failcnt");
  } else {
    stat.peak = NumberIn(scratch, "/memory.peak");
    if (ReadCgroupFile(scratch, "/memory.events")) stat.limit_hits = ValueOf(scratch.text, "max");
  }
  return stat;
}

}  // namespace heapecho::recording

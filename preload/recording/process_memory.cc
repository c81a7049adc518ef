// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/process_memory.h"

#include <string.h>

#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

// The number behind `name` where it begins a line.
uint64_t NumberOf(const char* text, const char* name) {
  const size_t length = strlen(name);
  for (const char* line = text; line != nullptr && *line != '\0';) {
    if (strncmp(line, name, length) == 0) {
      for (line += length; *line == ' ' || *line == '\t'; ++line) {
      }
      return ParseDecimal(line);
    }
    line = strchr(line, '\n');
    if (line != nullptr) ++line;
  }
  return 0;
}

}  // namespace

ProcessMemory ParseProcessMemory(const char* text) {
  const auto bytes = [text](const char* name) { return NumberOf(text, name) << 10; };  // kB
  ProcessMemory memory = {.rss_anon = bytes("RssAnon:"),
                          .rss_file = bytes("RssFile:"),
                          .rss_shmem = bytes("RssShmem:"),
                          .swap = bytes("VmSwap:"),
                          .peak_rss = bytes("VmHWM:"),
                          .threads = static_cast<uint32_t>(NumberOf(text, "Threads:")),
                          .known = false};
  // Before Linux 4.5 only the sum is told.
  if (memory.rss_anon + memory.rss_file + memory.rss_shmem == 0) memory.rss_anon = bytes("VmRSS:");
  memory.known = memory.rss_anon + memory.rss_file + memory.rss_shmem != 0;
  return memory;
}

ProcessMemory ReadProcessMemory(char* text, size_t room) {
  ReadSmallFile("/proc/self/status", text, room);
  return ParseProcessMemory(text);
}

}  // namespace heapecho::recording

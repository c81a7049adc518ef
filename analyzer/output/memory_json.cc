// SPDX-License-Identifier: Apache-2.0
// Where the memory went, as JSON; the contract is in the header.
#include <optional>

#include "analyzer/output/memory.h"

namespace heapecho::output {

Json MemoryJson(const model::ProcessSummary& process) {
  Json json = Json::object();
  const auto add_if_any = [&](const char* key, uint64_t bytes) {
    if (bytes != 0) json[key] = bytes;
  };
  const auto add = [](Json& object, const char* key, const std::optional<double>& bytes) {
    if (bytes) object[key] = WholeSigned(*bytes);
  };
  const model::MemoryAccount& account = process.memory;
  if (account.known) add(json, "rss_bytes", account.rss);
  add_if_any("peak_rss_bytes", process.end.peak_rss);
  add_if_any("cgroup_limit_bytes", process.end.memory_limit);
  add_if_any("cgroup_current_bytes", process.recording.cgroup_current);
  if (!account.known) return json;
  add(json, "live_bytes", account.LiveBytes());
  add(json, "live_bytes_error", account.live_error);
  add(json, "untouched_bytes", account.untouched);
  add(json, "swapped_bytes", account.swapped);
  add(json, "overhead_bytes", account.overhead);
  json["retained"] = Json::object();
  add(json["retained"], "malloc", account.retained.malloc);
  add(json["retained"], "python", account.retained.python);
  add(json["retained"], "arrow", account.retained.arrow);
  add(json, "own_bytes", account.own);
  add(json, "file_backed_bytes", account.file_backed);
  add(json, "stacks_bytes", account.stacks);
  if (const model::CgroupMemory& group = process.recording.cgroup; group.time_ns != 0)
    json["kernel_bytes"] = group.Kernel();
  add(json, "unexplained_bytes", account.Unexplained());
  return json;
}

Json CgroupJson(const model::CgroupMemory& group) {
  if (group.time_ns == 0) return Json::object();
  return {{"peak_bytes", group.peak},
          {"anon_bytes", group.anon},
          {"file_bytes", group.file},
          {"inactive_file_bytes", group.inactive_file},
          {"shmem_bytes", group.shmem},
          {"slab_bytes", group.slab},
          {"page_tables_bytes", group.page_tables},
          {"kernel_stack_bytes", group.kernel_stack},
          {"sock_bytes", group.sock},
          {"limit_hits", group.limit_hits}};
}

}  // namespace heapecho::output

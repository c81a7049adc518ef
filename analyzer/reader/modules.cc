// SPDX-License-Identifier: Apache-2.0
// The module log: mapped ELF files, when they came and when they went.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "analyzer/reader/parts.h"

namespace heapecho::reader {
namespace {

// A record that tells a consistent story about its own size. Threads append side by side, so a
// killed process may leave one unwritten between whole ones; the log goes on at the next that
// passes.
bool IsWhole(const wire::ModuleRecord& record, size_t bytes_left) {
  if (record.length < sizeof record || record.length % 8 != 0 || record.length > bytes_left)
    return false;
  if (record.id == 0) return false;
  if (record.kind == static_cast<uint16_t>(wire::ModuleRecordKind::kUnloaded)) return true;
  const uint64_t tail = uint64_t{record.build_id_length} + record.path_length;
  return tail <= record.length - sizeof record;
}

void Take(const wire::ModuleRecord& record, std::string_view tail,
          absl::flat_hash_map<uint16_t, model::Module*>& by_id, std::vector<model::Module>& modules,
          Complaints& complaints) {
  model::Module*& slot = by_id[record.id];  // null: not met yet
  switch (static_cast<wire::ModuleRecordKind>(record.kind)) {
    case wire::ModuleRecordKind::kLoaded: {
      if (slot != nullptr) {
        complaints.Count("modules are there twice; the first is taken");
        return;
      }
      slot = &modules.emplace_back();
      slot->id = record.id;
      slot->build_id =
          absl::BytesToHexString(absl::string_view(tail.data(), record.build_id_length));
      slot->path = tail.substr(record.build_id_length, record.path_length);
      slot->bias = record.bias;
      slot->start = record.start;
      slot->end = std::max(record.start, record.end);
      slot->loaded_ns = record.time_ns;
      return;
    }
    case wire::ModuleRecordKind::kUnloaded:
      if (slot != nullptr) slot->unloaded_ns = record.time_ns;
      return;
  }
}

}  // namespace

void ReadModules(Source& source, const Part& part, model::Recording& recording,
                 Complaints& complaints) {
  constexpr size_t kMostModules = 65535;
  const std::vector<uint8_t> log = ReadLog(source, part);
  absl::flat_hash_map<uint16_t, model::Module*> by_id;
  // The pointers above stay valid: the list never grows past what is reserved.
  recording.modules.reserve(std::min(kMostModules, log.size() / sizeof(wire::ModuleRecord)));
  size_t at = 0;
  bool skipping = false;
  while (log.size() - at >= sizeof(wire::ModuleRecord)) {
    const auto record = Load<wire::ModuleRecord>(log.data() + at);
    if (!IsWhole(record, log.size() - at)) {
      if (!skipping) complaints.Count("places in the list of modules are damaged");
      skipping = true;
      at += 8;
      continue;
    }
    skipping = false;
    const std::string_view tail(reinterpret_cast<const char*>(log.data()) + at + sizeof record,
                                record.length - sizeof record);
    Take(record, tail, by_id, recording.modules, complaints);
    at += record.length;
  }
  std::sort(recording.modules.begin(), recording.modules.end(),
            [](const model::Module& a, const model::Module& b) { return a.id < b.id; });
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// Python frames and the code that they ran, made safe to walk.
#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "analyzer/reader/chains.h"
#include "analyzer/reader/parts.h"

namespace heapecho::reader {
namespace {

// Each takes far more memory than its record in the file may.
constexpr uint32_t kMostCode = 1 << 20;

uint64_t TailOf(const wire::CodeRecord& record) {
  return uint64_t{record.name_length} + record.file_length + record.table_length;
}

// A record that tells a consistent story about its own size. Threads append side by side, so a
// killed process may leave one unwritten between whole ones; the log goes on at the next that
// passes.
bool IsWhole(const wire::CodeRecord& record, size_t bytes_left) {
  if (record.length < sizeof record || record.length % 8 != 0 || record.length > bytes_left)
    return false;
  if (record.id == 0) return false;
  const uint64_t room = record.length - sizeof record;
  return TailOf(record) <= room && room - TailOf(record) < 8;
}

model::LineTable ToTable(uint8_t table, Complaints& complaints) {
  if (table <= static_cast<uint8_t>(wire::LineTable::kLocations))
    return static_cast<model::LineTable>(table);
  complaints.Count(
      "code objects have a line table of an unknown kind; they are shown without lines");
  return model::LineTable::kNone;
}
static_assert(static_cast<uint8_t>(model::LineTable::kLnotab) ==
              static_cast<uint8_t>(wire::LineTable::kLnotab));
static_assert(static_cast<uint8_t>(model::LineTable::kLines) ==
              static_cast<uint8_t>(wire::LineTable::kLines));
static_assert(static_cast<uint8_t>(model::LineTable::kLocations) ==
              static_cast<uint8_t>(wire::LineTable::kLocations));

}  // namespace

void ReadPythonNodes(Source& source, const Part& part, model::Recording& recording, Complaints&) {
  const uint64_t count =
      std::min<uint64_t>(PresentRecords(source, part), std::numeric_limits<uint32_t>::max());
  if (count <= 1) return;  // the root alone
  recording.python_nodes.resize(count);
  ForEachRecord(source, part, [&](uint64_t index, const uint8_t* bytes) {
    if (index >= count || index == 0) return;
    const auto record = Load<wire::NodeRecord>(bytes);
    const uint32_t instruction = record.location_high & wire::kInstructionMask;
    recording.python_nodes[index] = {
        .parent = record.parent,
        .code = record.location_low,
        .instruction =
            instruction == wire::kNoInstruction ? model::PythonNode::kNoInstruction : instruction,
        .group_entry = (record.location_high & wire::kGroupEntry) != 0};
  });
}

CodeIndex ReadPythonCode(Source& source, const Part& part, model::Recording& recording,
                         Complaints& complaints) {
  CodeIndex index;
  if (part.records == 0) return index;
  const std::vector<uint8_t> log = ReadLog(source, part);
  size_t at = 0;
  bool skipping = false;
  while (log.size() - at >= sizeof(wire::CodeRecord)) {
    const auto record = Load<wire::CodeRecord>(log.data() + at);
    if (!IsWhole(record, log.size() - at)) {
      if (!skipping) complaints.Count("places in the list of Python code are damaged");
      skipping = true;
      at += 8;
      continue;
    }
    skipping = false;
    if (recording.python_code.empty()) recording.python_code.emplace_back();  // unknown code
    const auto next = static_cast<uint32_t>(recording.python_code.size());
    if (next > kMostCode) {
      complaints.Say("Python code objects are too many; the first are taken");
      return index;
    }
    if (index.try_emplace(record.id, next).second) {
      const std::string_view tail(reinterpret_cast<const char*>(log.data()) + at + sizeof record,
                                  TailOf(record));
      model::PythonCode& code = recording.python_code.emplace_back();
      code.name = tail.substr(0, record.name_length);
      code.file = tail.substr(record.name_length, record.file_length);
      code.first_line = record.first_line;
      code.table = ToTable(record.table, complaints);
      code.table_bytes = tail.substr(uint64_t{record.name_length} + record.file_length);
    } else {
      complaints.Count("code objects are there twice; the first is taken");
    }
    at += record.length;
  }
  return index;
}

void RepairPythonNodes(const CodeIndex& index, model::Recording& recording,
                       Complaints& complaints) {
  std::vector<model::PythonNode>& nodes = recording.python_nodes;
  // Those of a log that had no room are of unknown code, which is no damage; the outermost of them
  // says so by being a group's entry, the others by their callers.
  std::vector<bool> written(nodes.size(), false);
  for (size_t i = 1; i < nodes.size(); ++i) {
    const model::PythonNode& node = nodes[i];
    written[i] = node.parent != 0 || node.code != 0 || node.instruction != 0 || node.group_entry;
  }
  const auto is_written = [&written](uint64_t at) {
    return at == 0 || (at < written.size() && written[at]);
  };
  std::vector<bool> cut;
  if (!nodes.empty()) cut = RepairChains<model::PythonNode>(nodes, is_written, complaints);
  for (model::Stack& stack : recording.stacks) {
    for (uint32_t* leaf : {&stack.python_leaf, &stack.behalf_leaf}) {
      if (!is_written(*leaf)) {
        if (stack.first_seen_ns <= recording.tables_ns)
          complaints.Count("stacks name Python frames that are not there; they are shown without");
        *leaf = 0;
        stack.broken = true;
      } else if (*leaf != 0 && cut[*leaf]) {
        stack.broken = true;
      }
    }
  }
  if (nodes.empty() && recording.python_code.empty()) return;
  if (nodes.empty()) nodes.emplace_back();
  if (recording.python_code.empty()) recording.python_code.emplace_back();
  for (model::PythonNode& node : nodes) {
    if (node.code == 0) continue;
    const auto found = index.find(node.code);
    if (found == index.end())
      complaints.Count(
          "Python frames are of code that is not listed; they are shown without names");
    node.code = found == index.end() ? 0 : found->second;
  }
}

}  // namespace heapecho::reader

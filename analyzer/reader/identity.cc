// SPDX-License-Identifier: Apache-2.0
// The identity log and the counters: words and names to the model.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "analyzer/reader/parts.h"

namespace heapecho::reader {
namespace {

// A list of empty strings takes far more memory than its bytes in the file.
constexpr size_t kMostEntries = 4096;
constexpr uint64_t kMostBytes = 1 << 20;

void Append(std::string_view value, std::vector<std::string>& list, Complaints& complaints) {
  if (list.size() < kMostEntries) {
    list.emplace_back(value);
  } else {
    complaints.Count("words about the process are too many and were left out");
  }
}

void SetCommand(std::string_view value, std::vector<std::string>& command, Complaints& complaints) {
  command.clear();
  while (!value.empty()) {
    const size_t end = value.find('\0');
    Append(value.substr(0, end), command, complaints);
    value.remove_prefix(end == value.npos ? value.size() : end + 1);
  }
}

void Take(wire::IdentityKey key, std::string_view value, model::Identity& identity,
          Complaints& complaints) {
  switch (key) {
    case wire::IdentityKey::kHost:
      identity.host = value;
      break;
    case wire::IdentityKey::kContainer:
      identity.container = value;
      break;
    case wire::IdentityKey::kExecutable:
      identity.executable = value;
      break;
    case wire::IdentityKey::kCommand:
      SetCommand(value, identity.command, complaints);
      break;
    case wire::IdentityKey::kUser:
      identity.user = value;
      break;
    case wire::IdentityKey::kWorkingDirectory:
      identity.working_directory = value;
      break;
    case wire::IdentityKey::kKernel:
      identity.kernel = value;
      break;
    case wire::IdentityKey::kLibc:
      identity.libc = value;
      break;
    case wire::IdentityKey::kAllocator:
      identity.allocator = value;
      break;
    case wire::IdentityKey::kEnvironment:
      Append(value, identity.environment, complaints);
      break;
    case wire::IdentityKey::kCgroup:
      if (!identity.cgroup.empty()) identity.cgroup += '\n';
      identity.cgroup += value;
      break;
    case wire::IdentityKey::kCgroupLimit:
      if (!absl::SimpleAtoi(absl::string_view(value.data(), value.size()),
                            &identity.cgroup_limit)) {
        identity.cgroup_limit = 0;
        complaints.Say("the cgroup's limit is no number");
      }
      break;
    case wire::IdentityKey::kLibraryVersion:
      identity.library_version = value;
      break;
    case wire::IdentityKey::kPython:
      identity.python_version = value;
      break;
    case wire::IdentityKey::kPythonWalk:
      identity.python_walk = value;
      break;
    case wire::IdentityKey::kArrow:
      // A library that arrived while the file began may have been told twice.
      if (std::find(identity.arrow.begin(), identity.arrow.end(), value) == identity.arrow.end()) {
        Append(value, identity.arrow, complaints);
      }
      break;
    case wire::IdentityKey::kPythonDomain:
      identity.python_domain = value;
      break;
    case wire::IdentityKey::kNote:
      Append(value, identity.notes, complaints);
      break;
  }
}

}  // namespace

void ReadIdentity(Source& source, const Part& part, model::Recording& recording,
                  Complaints& complaints) {
  Part bounded = part;
  if (bounded.records > kMostBytes) {
    complaints.Say("the identity is too long; its beginning was read");
    bounded.records = kMostBytes;
  }
  const std::vector<uint8_t> log = ReadLog(source, bounded);
  size_t at = 0;
  while (log.size() - at >= sizeof(wire::IdentityRecord)) {
    const auto record = Load<wire::IdentityRecord>(log.data() + at);
    at += sizeof record;
    if (record.length > log.size() - at) {
      complaints.Say("the identity is damaged; its beginning was read");
      return;
    }
    const std::string_view value(reinterpret_cast<const char*>(log.data()) + at, record.length);
    Take(static_cast<wire::IdentityKey>(record.key), value, recording.identity, complaints);
    const size_t padded = (size_t{record.length} + 7) / 8 * 8;
    if (padded > log.size() - at) return;
    at += padded;
  }
}

void ReadCounters(Source& source, const Part& part, model::Recording& recording,
                  Complaints& complaints) {
  absl::flat_hash_set<std::string> seen;
  ForEachRecord(source, part, [&](uint64_t, const uint8_t* bytes) {
    const auto record = Load<wire::CounterRecord>(bytes);
    std::string name(record.name, strnlen(record.name, sizeof record.name));
    if (name.empty()) return;
    if (recording.counters.size() == kMostEntries || !seen.insert(name).second) {
      complaints.Count("counters are there twice or too many");
      return;
    }
    recording.counters.push_back({.name = std::move(name), .value = record.value});
  });
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// Whether the process that wrote a recording still runs; the contract is in the header.
#include "analyzer/reader/liveness/liveness.h"

#include <signal.h>
#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

namespace heapecho::reader {
namespace {

std::optional<std::string> ReadAll(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The hex digits of a boot id, however it is written.
std::string HexDigits(const std::string& text) {
  std::string digits;
  for (const char c : text)
    if (std::isxdigit(static_cast<unsigned char>(c))) digits += c;
  return digits;
}

// This boot, this pid namespace: the only place where a missing process says anything.
bool IsThisPlace(const model::Recording& recording, const std::string& proc) {
  const auto boot_id = ReadAll(proc + "/sys/kernel/random/boot_id");
  struct stat pid_namespace {};
  return boot_id.has_value() && !recording.boot_id.IsZero() &&
         HexDigits(*boot_id) == recording.boot_id.ToHex() && recording.pid_namespace != 0 &&
         stat((proc + "/self/ns/pid").c_str(), &pid_namespace) == 0 &&
         static_cast<uint32_t>(pid_namespace.st_ino) == recording.pid_namespace;
}

struct Stat {
  char state = '?';
  uint64_t start_ticks = 0;
};

// "PID (name) S ppid ...": the name may hold spaces and brackets, so fields are counted from the
// last one.
std::optional<Stat> ReadStat(const std::string& proc, uint32_t pid) {
  const auto text = ReadAll(proc + "/" + std::to_string(pid) + "/stat");
  if (!text.has_value()) return std::nullopt;
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text->substr(name_end + 1));
  Stat stat;
  std::string skipped;
  fields >> stat.state;  // field 3
  for (int field = 4; field < 22; ++field) fields >> skipped;
  if (!(fields >> stat.start_ticks)) return std::nullopt;  // field 22
  return stat;
}

// /proc may hide other users' processes; a signal that is none tells whether there is one.
bool IsHidden(uint32_t pid) { return kill(static_cast<pid_t>(pid), 0) != 0 && errno == EPERM; }

}  // namespace

model::ProcessState StateOf(const model::Recording& recording, const std::string& proc) {
  using model::ProcessState;
  if (recording.process_end == model::ProcessEnd::kExited) return ProcessState::kExited;
  if (recording.process_end == model::ProcessEnd::kExec) return ProcessState::kExec;
  if (!IsThisPlace(recording, proc)) return ProcessState::kUnknown;
  const std::optional<Stat> stat = ReadStat(proc, recording.pid);
  if (!stat.has_value())
    return IsHidden(recording.pid) ? ProcessState::kUnknown : ProcessState::kKilled;
  const bool runs =
      stat->start_ticks == recording.start_ticks && stat->state != 'Z' && stat->state != 'X';
  return runs ? ProcessState::kRunning : ProcessState::kKilled;
}

}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/identity.h"

#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

using base::Syscall;
using wire::IdentityKey;

class IdentityWriter {
 public:
  IdentityWriter(char* out, size_t room) : out_(out), room_(room) {}

  void Add(IdentityKey key, const char* bytes, size_t length) {
    const size_t whole = sizeof(wire::IdentityRecord) + base::RoundUp(length, 8);
    if (length == 0 || length > UINT32_MAX || used_ + whole > room_) return;
    const wire::IdentityRecord record = {.length = static_cast<uint32_t>(length),
                                         .key = static_cast<uint16_t>(key),
                                         .reserved = 0};
    memcpy(out_ + used_, &record, sizeof record);
    memcpy(out_ + used_ + sizeof record, bytes, length);
    used_ += whole;
  }
  void Add(IdentityKey key, const char* text) {
    if (text != nullptr) Add(key, text, strlen(text));
  }
  size_t used() const { return used_; }

 private:
  char* out_;
  size_t room_;
  size_t used_ = 0;
};

bool StartsWith(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// A run of exactly 64 hexadecimal digits: how container engines name their containers.
const char* FindContainerId(const char* text) {
  size_t run = 0;
  for (const char* c = text;; ++c) {
    if (IsHex(*c)) {
      ++run;
      continue;
    }
    if (run == 64) return c - 64;
    run = 0;
    if (*c == '\0') return nullptr;
  }
}

bool VariableMatters(const char* variable) {
  static constexpr const char* kPrefixes[] = {"PYTHON", "MALLOC_", "ARROW_",     "WEB_CONCURRENCY=",
                                              "GLIBC_TUNABLES=", "LD_PRELOAD=", "HEAPECHO_",
                                              "MIMALLOC_", "TCMALLOC_", "GUNICORN_CMD_ARGS=",
                                              "DJANGO_SETTINGS_MODULE="};
  for (const char* prefix : kPrefixes) {
    if (StartsWith(variable, prefix)) return true;
  }
  return false;
}

}  // namespace

size_t CollectIdentity(const StaticFacts& facts, IdentityScratch& scratch, char* out, size_t room) {
  IdentityWriter writer(out, room);
  char* text = scratch.text;

  utsname* system = reinterpret_cast<utsname*>(text);
  if (!base::Failed(Syscall(SYS_uname, system))) {
    writer.Add(IdentityKey::kHost, system->nodename);
    writer.Add(IdentityKey::kKernel, system->release);
  }
  ReadSmallFile("/proc/self/cgroup", text, sizeof scratch.text);
  const char* container = FindContainerId(text);
  if (char* line_end = strchr(text, '\n')) {
    writer.Add(IdentityKey::kCgroup, text, static_cast<size_t>(line_end - text));
  }
  if (container == nullptr) {  // in a cgroup namespace of its own the mount table still tells
    ReadSmallFile("/proc/self/mountinfo", text, sizeof scratch.text);
    const char* mounts = strstr(text, "/containers/");
    container = mounts != nullptr ? FindContainerId(mounts) : nullptr;
  }
  if (container != nullptr) writer.Add(IdentityKey::kContainer, container, 64);

  size_t length = ReadLink("/proc/self/exe", text, sizeof scratch.text);
  writer.Add(IdentityKey::kExecutable, text, length);
  length = ReadSmallFile("/proc/self/cmdline", text, 8192);
  writer.Add(IdentityKey::kCommand, text, length);
  length = ReadLink("/proc/self/cwd", text, sizeof scratch.text);
  writer.Add(IdentityKey::kWorkingDirectory, text, length);
  length = static_cast<size_t>(FormatDecimal(text, static_cast<uint64_t>(Syscall(SYS_geteuid))) - text);
  writer.Add(IdentityKey::kUser, text, length);
  if (const uint64_t limit = CgroupMemoryLimit(scratch.cgroup)) {
    length = static_cast<size_t>(FormatDecimal(text, limit) - text);
    writer.Add(IdentityKey::kCgroupLimit, text, length);
  }
  writer.Add(IdentityKey::kLibc, facts.libc_version);
  writer.Add(IdentityKey::kAllocator, facts.allocator_path);
  writer.Add(IdentityKey::kLibraryVersion, facts.library_version);
  writer.Add(IdentityKey::kPython, facts.python_version);
  writer.Add(IdentityKey::kPythonWalk, facts.python_walk);
  for (size_t i = 0; facts.arrow != nullptr; ++i) {
    const char* const fact = facts.arrow(i);
    if (fact == nullptr) break;
    writer.Add(IdentityKey::kArrow, fact);
  }
  writer.Add(IdentityKey::kPythonDomain, facts.python_domain);

  const size_t end = ReadSmallFile("/proc/self/environ", text, sizeof scratch.text);
  for (size_t at = 0; at < end; at += strlen(text + at) + 1) {
    if (VariableMatters(text + at)) writer.Add(IdentityKey::kEnvironment, text + at);
  }
  return writer.used();
}

size_t WriteIdentity(IdentityKey key, const char* text, char* out) {
  constexpr size_t kMostBytes = 4096;
  const size_t length = strnlen(text, kMostBytes);
  const size_t whole = sizeof(wire::IdentityRecord) + base::RoundUp(length, 8);
  if (out != nullptr) IdentityWriter(out, whole).Add(key, text, length);
  return whole;
}

void FillPlace(wire::FileHeader& header, char* text, size_t room) {
  if (ReadLink("/proc/self/ns/pid", text, room) != 0) {  // pid:[4026531836]
    if (const char* number = strchr(text, '[')) {
      header.pid_namespace = static_cast<uint32_t>(ParseDecimal(number + 1));
    }
  }
  ReadSmallFile("/proc/sys/kernel/random/boot_id", text, room);
  int digits = 0;
  for (const char* c = text; *c != '\0' && digits < 32; ++c) {
    if (!IsHex(*c)) continue;
    const int value = *c <= '9' ? *c - '0' : *c - 'a' + 10;
    uint8_t& byte = header.boot_id[digits / 2];
    byte = static_cast<uint8_t>(digits % 2 == 0 ? value << 4 : byte | value);
    ++digits;
  }
}

void FillProcessWords(wire::FileHeader& header, IdentityScratch& scratch) {
  header.pid = static_cast<uint32_t>(Syscall(SYS_getpid));
  header.ppid = static_cast<uint32_t>(Syscall(SYS_getppid));
  header.uid = static_cast<uint32_t>(Syscall(SYS_getuid));
  FillPlace(header, scratch.text, sizeof scratch.text);
  ReadSmallFile("/proc/self/stat", scratch.text, sizeof scratch.text);
  header.start_ticks = StartTicks(scratch.text);
}

uint64_t StartTicks(const char* stat) {
  // The command, field 2, stands in parentheses and may hold anything; the last ')' closes it.
  const char* field = strrchr(stat, ')');
  for (int number = 2; field != nullptr && number < 22; ++number) {
    field = strchr(field + 1, ' ');
  }
  return field != nullptr ? ParseDecimal(field + 1) : 0;
}

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
// Who writes: host, container, process and versions, as records of the identity section.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/recording/cgroup.h"
#include "preload/wire/format.h"

namespace heapecho::recording {

// What the library learnt when it was initialised; strings live for ever, may be null.
struct StaticFacts {
  const char* libc_version;
  const char* allocator_path;  // module that serves malloc below us
  const char* library_version;
  const char* python_version;  // of the interpreter in this process
  const char* python_walk;     // IdentityKey::kPythonWalk
  const char* (*arrow)(size_t index);  // IdentityKey::kArrow; null beyond the last
  const char* python_domain;   // IdentityKey::kPythonDomain
};

// Scratch memory for collecting; too large for a caller's stack.
struct IdentityScratch {
  char text[32 << 10];
  char path[4096];
  CgroupScratch cgroup;
};

// Appends the identity records to `out` (at most `room` bytes, zeroed) and returns the bytes used. What does
// not fit or cannot be read is left out. Signal-safe, allocates nothing.
size_t CollectIdentity(const StaticFacts& facts, IdentityScratch& scratch, char* out, size_t room);

// One record of `key` at `out`: its bytes, or with null `out` how many there would be. The text is cut at 4096 bytes.
size_t WriteIdentity(wire::IdentityKey key, const char* text, char* out);

// Fills the identity words of the header: pid, ppid, uid, boot id, namespace, start time.
void FillProcessWords(wire::FileHeader& header, IdentityScratch& scratch);

// Where pids mean what they mean here: the header's boot id and pid namespace. `text`: scratch memory of `room` bytes.
void FillPlace(wire::FileHeader& header, char* text, size_t room);

// Field 22 of a /proc/PID/stat's text: clock ticks after boot; 0: not there.
uint64_t StartTicks(const char* stat);

}  // namespace heapecho::recording

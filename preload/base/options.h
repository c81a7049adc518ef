// SPDX-License-Identifier: Apache-2.0
// The options of options.inc, read once from the environment.
#pragma once

#include <cstdint>

namespace heapecho::base {

inline constexpr uint64_t kAuto = 0;

// What is recorded of Arrow.
enum class Arrow : uint8_t { kAll, kPools, kOff };

enum class PythonUse : uint8_t {
  kWhole = 0,  // frames and the python domain, where that is possible
  kFrames,    // frames; the interpreter's allocator is left alone
  kNative,    // the domain, and native frames alone
  kOff,       // nothing of Python's is read or changed
};

enum class Mmap : uint8_t { kAll, kOff };

struct Options {
  char directory[512];  // absolute, NUL-terminated
  uint64_t interval;    // bytes; kAuto
  uint64_t budget;      // bytes; kAuto
  uint64_t keep;        // bytes
  bool map;
  bool keep_short;
  bool notice;          // tell on stderr of workers that were killed
  PythonUse python;
  Arrow arrow;
  Mmap mmap;
  char only[512];       // names separated by commas; empty: all
  bool disable;
};

// Reads every variable through `lookup` (getenv's contract). A nonsense value leaves the default and is
// complained about in one line. Allocates nothing. `working_directory` makes a relative directory absolute.
void ReadOptions(char* (*lookup)(const char*), const char* working_directory, Options* options);

// "4096", "512K", "512KiB", "64M", "2GiB"; K, M, G and KiB, MiB, GiB are powers of 1024. False: nonsense,
// zero, or more than 2^62.
bool ParseSize(const char* text, uint64_t* bytes);

// Whether `command` (a file name without folders) is in the list of `only`.
bool IsSelected(const char* only, const char* command);

}  // namespace heapecho::base

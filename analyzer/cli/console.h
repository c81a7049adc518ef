// SPDX-License-Identifier: Apache-2.0
// What the program says besides its output: one line on stderr for an error or a warning, and
// progress where a person watches.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapecho::cli {

// "heapecho: TEXT" as one line on stderr, whatever is in the text; gives `exit_status` back.
int Fail(int exit_status, absl::string_view text);
void Warn(absl::string_view text);  // "heapecho: warning: TEXT"

// Where a command's output goes: the file, or stdout where `path` is empty or "-". Errors name the
// file.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void Write(absl::string_view bytes);  // after an error: does nothing
  absl::Status Close();                 // once, at the end: the first error there was

 private:
  absl::Status Failed() const;
  std::string name_;
  std::FILE* file_;
  absl::Status status_;
};

// Writes all of `bytes` there.
absl::Status WriteOutput(const std::string& path, absl::string_view bytes);

// A line that is rewritten in place, only if stderr is a terminal, and gone when the object is.
class Progress {
 public:
  Progress();
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(absl::string_view what, size_t done, size_t total);
  void Clear();  // before something else is written to stderr

 private:
  bool on_terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point
      next_;  // a terminal is slow: it is not written to at each step
};

}  // namespace heapecho::cli

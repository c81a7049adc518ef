// SPDX-License-Identifier: Apache-2.0
// What the program says besides its output; the contract is in the header.
#include "analyzer/cli/console.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace heapecho::cli {
namespace {

// Names of files and symbols may hold anything; a line stays one line and cannot steer a terminal.
std::string OneLine(absl::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return line;
}

void Say(absl::string_view prefix, absl::string_view text) {
  const std::string line = absl::StrCat(prefix, OneLine(text), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

int Fail(int exit_status, absl::string_view text) {
  Say("heapecho: ", text);
  return exit_status;
}

void Warn(absl::string_view text) { Say("heapecho: warning: ", text); }

OutputFile::OutputFile(const std::string& path)
    : name_(path.empty() || path == "-" ? "standard output" : path),
      file_(path.empty() || path == "-" ? stdout : std::fopen(path.c_str(), "wb")) {
  if (file_ == nullptr) status_ = Failed();
}

OutputFile::~OutputFile() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
}

absl::Status OutputFile::Failed() const {
  return absl::ErrnoToStatus(errno, absl::StrCat(name_, ": cannot be written"));
}

void OutputFile::Write(absl::string_view bytes) {
  if (!status_.ok()) return;
  errno = 0;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) status_ = Failed();
}

absl::Status OutputFile::Close() {
  if (file_ != nullptr && std::fflush(file_) != 0 && status_.ok()) status_ = Failed();
  if (file_ != nullptr && file_ != stdout && std::fclose(file_) != 0 && status_.ok()) {
    status_ = Failed();
  }
  file_ = nullptr;
  return status_;
}

absl::Status WriteOutput(const std::string& path, absl::string_view bytes) {
  OutputFile file(path);
  file.Write(bytes);
  return file.Close();
}

Progress::Progress() : on_terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { Clear(); }

void Progress::Show(absl::string_view what, size_t done, size_t total) {
  if (!on_terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(50);
  std::fputs(absl::StrCat("\r\x1b[K", OneLine(what), " ", done, " of ", total).c_str(), stderr);
  shown_ = true;
}

void Progress::Clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace heapecho::cli

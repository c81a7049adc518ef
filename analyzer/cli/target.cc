// SPDX-License-Identifier: Apache-2.0
// A command as the kernel would run it; the contract is in the header.
#include "analyzer/cli/target.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heapecho::cli {
namespace {

#if defined(__x86_64__)
constexpr int kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int kMachine = EM_AARCH64;
#else
#error "The preload library is not made for this machine."
#endif

struct Descriptor {
  explicit Descriptor(int descriptor) : fd(descriptor) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd;
};

absl::Status Unrecorded(const std::string& path, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be recorded: ", why));
}

template <typename Record>
bool ReadAt(int fd, uint64_t offset, Record* record) {
  return offset <= INT64_MAX && pread(fd, record, sizeof *record, static_cast<off_t>(offset)) ==
                                    static_cast<ssize_t>(sizeof *record);
}

// The loader that an ELF program asks for: two headers and a name are all that is looked at here.
absl::StatusOr<std::string> LoaderOf(const std::string& path, int fd) {
  Elf64_Ehdr header;
  if (!ReadAt(fd, 0, &header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return Unrecorded(path, "it is neither an ELF program nor a script with a #! line");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return Unrecorded(path, "it is a 32-bit program");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != kMachine) {
    return Unrecorded(
        path, absl::StrCat("it is made for another machine (ELF machine ", header.e_machine, ")"));
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!ReadAt(fd, header.e_phoff + i * sizeof segment, &segment)) {
      return Unrecorded(path, "its program headers are cut off");
    }
    if (segment.p_type != PT_INTERP) continue;
    std::string loader(std::min<uint64_t>(segment.p_filesz, PATH_MAX), '\0');
    const ssize_t got = segment.p_offset > INT64_MAX ? -1
                                                     : pread(fd, loader.data(), loader.size(),
                                                             static_cast<off_t>(segment.p_offset));
    const size_t end = loader.find('\0');
    if (got != static_cast<ssize_t>(loader.size()) || end == 0 || end == std::string::npos) {
      return Unrecorded(path, "its loader's name is damaged");
    }
    loader.resize(end);
    return loader;
  }
  return Unrecorded(path, "it is statically linked, so no loader reads LD_PRELOAD");
}

// The file that a script's first line names; empty: the file is no script.
std::string InterpreterOf(int fd) {
  char line[256];
  const ssize_t got = pread(fd, line, sizeof line, 0);
  if (got < 3 || line[0] != '#' || line[1] != '!') return "";
  absl::string_view text(line, static_cast<size_t>(got));
  text = text.substr(2, text.find('\n') == text.npos ? text.npos : text.find('\n') - 2);
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  return words.empty() ? "" : std::string(words.front());
}

absl::StatusOr<Target> Follow(const std::string& path, bool may_be_script) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (file.fd < 0 || fstat(file.fd, &status) != 0) {
    // Executable but not readable: nothing is known against it.
    if (errno == EACCES) return Unrecorded(path, "it may not be read, so its loader is not known");
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be opened"));
  }
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != geteuid()) {
    return Unrecorded(path, "it is set-user-id, and the loader ignores LD_PRELOAD there");
  }
  if ((status.st_mode & S_ISGID) != 0 && status.st_gid != getegid()) {
    return Unrecorded(path, "it is set-group-id, and the loader ignores LD_PRELOAD there");
  }
  if (const std::string interpreter = InterpreterOf(file.fd); !interpreter.empty()) {
    if (!may_be_script) return Unrecorded(path, "its interpreter is a script itself");
    absl::StatusOr<Target> target = Follow(interpreter, false);
    if (!target.ok()) {
      return absl::Status(target.status().code(),
                          absl::StrCat(path, ": ", target.status().message()));
    }
    target->path = path;
    return target;
  }
  const absl::StatusOr<std::string> loader = LoaderOf(path, file.fd);
  if (!loader.ok()) return loader.status();
  if (absl::StrContains(*loader, "ld-musl")) {
    return Unrecorded(path, "it runs on musl; heapecho needs glibc (for example a Debian image)");
  }
  return Target{path, path, *loader};
}

}  // namespace

absl::StatusOr<Target> FindTarget(const std::string& command, const std::string& search_path) {
  std::vector<std::string> candidates;
  if (absl::StrContains(command, '/')) {
    candidates.push_back(command);
  } else {
    for (const absl::string_view folder : absl::StrSplit(search_path, ':')) {
      candidates.push_back(absl::StrCat(folder.empty() ? "." : folder, "/", command));
    }
  }
  bool is_there = false;
  for (const std::string& candidate : candidates) {
    struct stat status;
    if (stat(candidate.c_str(), &status) != 0) continue;
    is_there = true;
    if (S_ISREG(status.st_mode) && access(candidate.c_str(), X_OK) == 0) return TargetOf(candidate);
  }
  if (is_there) return absl::PermissionDeniedError(absl::StrCat(command, ": may not be executed"));
  return absl::NotFoundError(absl::StrCat(command, ": command not found"));
}

absl::StatusOr<Target> TargetOf(const std::string& path) { return Follow(path, true); }

}  // namespace heapecho::cli

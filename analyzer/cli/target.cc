// SPDX-License-Identifier: Apache-2.0
// A command as the kernel would run it; the contract is in the header.
#include "analyzer/cli/target.h"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

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

// The loader that an ELF file asks for; empty: none.
absl::StatusOr<std::string> LoaderOf(const std::string& path, Elf* elf) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return Unrecorded(path, "its program headers are damaged");
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr) continue;
    if (header.p_type != PT_INTERP) continue;
    // libelf checks that the range lies inside the file.
    Elf_Data* data = elf_getdata_rawchunk(elf, static_cast<int64_t>(header.p_offset),
                                          header.p_filesz, ELF_T_BYTE);
    if (data == nullptr || data->d_size == 0)
      return Unrecorded(path, "its loader's name is damaged");
    const auto* text = static_cast<const char*>(data->d_buf);
    return std::string(text, strnlen(text, data->d_size));
  }
  return std::string();
}

absl::StatusOr<std::string> CheckProgram(const std::string& path, int fd) {
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, int (*)(Elf*)> elf(elf_begin(fd, ELF_C_READ, nullptr), elf_end);
  GElf_Ehdr header;
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF ||
      gelf_getehdr(elf.get(), &header) == nullptr) {
    return Unrecorded(path, "it is neither an ELF program nor a script with a #! line");
  }
  if (gelf_getclass(elf.get()) != ELFCLASS64) return Unrecorded(path, "it is a 32-bit program");
  if (header.e_machine != kMachine) {
    return Unrecorded(
        path, absl::StrCat("it is made for another machine (ELF machine ", header.e_machine, ")"));
  }
  absl::StatusOr<std::string> loader = LoaderOf(path, elf.get());
  if (!loader.ok()) return loader;
  if (loader->empty()) {
    return Unrecorded(path, "it is statically linked, so no loader reads LD_PRELOAD");
  }
  if (absl::StrContains(*loader, "ld-musl")) {
    return Unrecorded(path, "it runs on musl; heapecho needs glibc (for example a Debian image)");
  }
  return loader;
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
  const absl::StatusOr<std::string> loader = CheckProgram(path, file.fd);
  if (!loader.ok()) return loader.status();
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

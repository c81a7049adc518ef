// SPDX-License-Identifier: Apache-2.0
// Finds and opens the file that a module was; the contract is in the header.
#include "analyzer/symbolizer/module_file.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <libelf.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace heapecho::symbolizer {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int Get() const { return fd_; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

// `path` with `root` as the root directory, symbolic links included where the kernel can do that
// (Linux 5.6); regular files only, so that a recording cannot make us wait on a pipe. Invalid with
// errno set if not.
Descriptor OpenBelow(const std::string& root, const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  Descriptor file;
  if (!root.empty()) {
    Descriptor directory(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (directory.Get() < 0) return file;
    open_how how{};
    how.flags = kFlags;
    how.resolve = RESOLVE_IN_ROOT;
    file = Descriptor(
        static_cast<int>(syscall(SYS_openat2, directory.Get(), path.c_str(), &how, sizeof(how))));
    if (file.Get() < 0 && errno != ENOSYS && errno != EPERM) return file;
  }
  if (file.Get() < 0) file = Descriptor(open(absl::StrCat(root, path).c_str(), kFlags));
  struct stat status {};
  if (file.Get() >= 0 && (fstat(file.Get(), &status) != 0 || !S_ISREG(status.st_mode))) {
    file = Descriptor();
    errno = EINVAL;
  }
  return file;
}

// Lower-case hex, empty for an ELF file without one; nullopt for what is no ELF file.
std::optional<std::string> BuildIdOf(int fd) {
  elf_version(EV_CURRENT);
  Elf* elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
  std::optional<std::string> build_id;
  if (elf != nullptr && elf_kind(elf) == ELF_K_ELF) {
    const void* bytes = nullptr;
    const ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
    build_id = size > 0 ? absl::BytesToHexString(absl::string_view(static_cast<const char*>(bytes),
                                                                   static_cast<size_t>(size)))
                        : std::string();
  }
  if (elf != nullptr) elf_end(elf);
  return build_id;
}

// The checksum that .gnu_debuglink means.
bool HasChecksum(int fd, GElf_Word expected) {
  std::vector<unsigned char> buffer(1 << 20);
  uLong crc = crc32(0, nullptr, 0);
  off_t at = 0;
  for (;;) {
    const ssize_t n = pread(fd, buffer.data(), buffer.size(), at);
    if (n < 0) return false;
    if (n == 0) return crc == expected;
    crc = crc32(crc, buffer.data(), static_cast<uInt>(n));
    at += n;
  }
}

// The file that a debug directory keeps for `build_id`: the debug file, or (`suffix` empty) the
// program.
Descriptor OpenByBuildId(const ElfOptions& options, const std::string& build_id, const char* suffix,
                         std::string* path) {
  if (build_id.size() < 4) return Descriptor();
  for (const std::string& directory : options.debug_directories) {
    *path = absl::StrCat(directory, "/.build-id/", build_id.substr(0, 2), "/", build_id.substr(2),
                         suffix);
    Descriptor file = OpenBelow(options.sysroot, *path);
    if (file.Get() >= 0 && BuildIdOf(file.Get()) == build_id) return file;
  }
  return Descriptor();
}

std::string NameOfBuildId(const std::string& build_id) {
  return build_id.empty() ? "none" : build_id;
}

}  // namespace

int ModuleFile::FindDebugInfo(Dwfl_Module*, void** userdata, const char*, Dwarf_Addr,
                              const char* file, const char* link, GElf_Word crc, char** found) {
  const auto& self = *static_cast<const ModuleFile*>(*userdata);
  std::string path;
  Descriptor debug = OpenByBuildId(*self.options_, self.build_id_, ".debug", &path);
  if (debug.Get() < 0 && link != nullptr && !absl::StrContains(link, '/')) {
    std::vector<std::string> places = {absl::StrCat(self.directory_, "/", link),
                                       absl::StrCat(self.directory_, "/.debug/", link)};
    for (const std::string& directory : self.options_->debug_directories)
      places.push_back(absl::StrCat(directory, self.directory_, "/", link));
    for (const std::string& place : places) {
      Descriptor candidate = OpenBelow(self.options_->sysroot, place);
      if (candidate.Get() < 0) continue;
      const bool same = self.build_id_.empty() ? HasChecksum(candidate.Get(), crc)
                                               : BuildIdOf(candidate.Get()) == self.build_id_;
      if (!same) continue;
      path = place;
      debug = std::move(candidate);
      break;
    }
  }
  if (debug.Get() < 0) return -1;
  const std::string name = absl::StrCat(self.options_->sysroot, path);
  if (file != nullptr && name == file) return -1;  // the debug file itself stands in for the module
  *found = strdup(name.c_str());
  return debug.Release();
}

std::variant<std::unique_ptr<ModuleFile>, std::string> ModuleFile::Open(const model::Module& module,
                                                                        const ElfOptions& options) {
  // What the kernel appends to the name of a mapped file that was deleted or replaced.
  std::string path(absl::StripSuffix(module.path, " (deleted)"));
  std::string problem;
  Descriptor file;
  if (!absl::StartsWith(path, "/")) {
    problem = absl::StrCat(module.path.empty() ? "a module without a name" : module.path,
                           " was recorded without its folder");
  } else if (file = OpenBelow(options.sysroot, path); file.Get() < 0) {
    problem = errno == ENOENT || errno == ENOTDIR
                  ? absl::StrCat(options.sysroot, path, " is not on this machine")
                  : absl::StrCat(options.sysroot, path, " cannot be read: ", std::strerror(errno));
  } else if (const auto found = BuildIdOf(file.Get()); !found.has_value()) {
    problem = absl::StrCat(options.sysroot, path, " is no ELF file");
  } else if (*found != module.build_id) {
    problem = absl::StrCat(options.sysroot, path, " was replaced since: build-id ",
                           NameOfBuildId(module.build_id), ", now ", NameOfBuildId(*found));
  }
  if (!problem.empty()) {
    std::string kept;
    file = OpenByBuildId(options, module.build_id, ".debug", &kept);
    if (file.Get() < 0) file = OpenByBuildId(options, module.build_id, "", &kept);
    if (file.Get() < 0) return absl::StrCat(problem, "; its frames are shown by address");
    path = kept;
  }

  std::unique_ptr<ModuleFile> opened(new ModuleFile);
  opened->options_ = &options;
  opened->build_id_ = module.build_id;
  opened->directory_ = module.path.substr(0, module.path.rfind('/'));
  static const Dwfl_Callbacks kCallbacks = {
      .find_elf = nullptr,
      .find_debuginfo = &ModuleFile::FindDebugInfo,
      .section_address = nullptr,
      .debuginfo_path = nullptr,
  };
  opened->session_ = dwfl_begin(&kCallbacks);
  if (opened->session_ != nullptr) {
    const std::string name = absl::StrCat(options.sysroot, path);
    dwfl_report_begin(opened->session_);
    opened->module_ =
        dwfl_report_elf(opened->session_, name.c_str(), name.c_str(), file.Get(), 0, true);
    if (opened->module_ != nullptr) file.Release();
    dwfl_report_end(opened->session_, nullptr, nullptr);
  }
  if (opened->module_ == nullptr) {
    return absl::StrCat(options.sysroot, path, " cannot be used: ", dwfl_errmsg(-1),
                        "; its frames are shown by address");
  }
  void** userdata = nullptr;
  dwfl_module_info(opened->module_, &userdata, nullptr, nullptr, nullptr, nullptr, nullptr,
                   nullptr);
  *userdata = opened.get();
  return opened;
}

ModuleFile::~ModuleFile() {
  if (session_ != nullptr) dwfl_end(session_);
}

}  // namespace heapecho::symbolizer

// SPDX-License-Identifier: Apache-2.0
// heapecho doctor: why is nothing recorded? Looks at each link of the chain and names the way out.
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "analyzer/cli/child.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"
#include "analyzer/cli/library.h"
#include "analyzer/cli/target.h"
#include "analyzer/cli/variables.h"
#include "analyzer/output/units.h"
#include "analyzer/reader/find_recordings.h"
#include "analyzer/reader/reader.h"

namespace heapecho::cli {
namespace {

// One line a check, in the order in which one would ask.
class Findings {
 public:
  void Ok(absl::string_view what) { Line("ok     ", what); }
  void Note(absl::string_view what) { Line("note   ", what); }
  void Problem(absl::string_view what, absl::string_view way_out) {
    healthy_ = false;
    Line("PROBLEM", absl::StrCat(what, way_out.empty() ? "" : "; ", way_out));
  }
  const std::string& text() const { return text_; }
  bool healthy() const { return healthy_; }

 private:
  void Line(absl::string_view verdict, absl::string_view what) {
    absl::StrAppend(&text_, verdict, "  ", what, "\n");
  }
  std::string text_;
  bool healthy_ = true;
};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct FileSystem {
  std::string name;
  bool mapping_is_safe = false;
};

FileSystem NameOf(const struct statfs& system) {
  switch (static_cast<uint64_t>(system.f_type) & 0xffffffff) {
    case EXT4_SUPER_MAGIC:
      return {"ext2/3/4", true};
    case XFS_SUPER_MAGIC:
      return {"XFS", true};
    case TMPFS_MAGIC:
      return {"tmpfs", true};
    case OVERLAYFS_SUPER_MAGIC:  // as the library decides: all but the type is of what lies below
      return {"overlayfs", system.f_files != 0 && system.f_bsize == system.f_frsize};
    case BTRFS_SUPER_MAGIC:
      return {"btrfs"};
    case NFS_SUPER_MAGIC:
      return {"NFS"};
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
      return {"CIFS"};
    case FUSE_SUPER_MAGIC:
      return {"FUSE"};
    case V9FS_MAGIC:
      return {"9p"};
    case 0x2fc12fc1:
      return {"ZFS"};
    default:
      return {absl::StrFormat("type %#x", system.f_type)};
  }
}

// The folder that recordings go to, seen through `root` (another process's, or "").
void CheckDirectory(const std::string& directory, const std::string& root, uid_t user,
                    Findings* findings) {
  const std::string path = root + directory;
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) {
      findings->Problem(absl::StrCat(directory, ": ", std::strerror(errno)),
                        absl::StrCat("name another one with ", kDirectoryVariable));
      return;
    }
    // The library makes it, if it may.
    std::string parent = directory;
    while (parent.size() > 1 && stat((root + parent).c_str(), &status) != 0) {
      parent = parent.substr(0, std::max<size_t>(parent.rfind('/'), 1));
    }
    const bool may = user == 0 || (status.st_mode & S_IWOTH) != 0 ||
                     (status.st_uid == user && (status.st_mode & S_IWUSR) != 0);
    if (may) {
      findings->Ok(absl::StrCat(directory, ": not there yet; it is made when a recording begins"));
    } else {
      findings->Problem(
          absl::StrCat(directory, ": is not there, and user ", user, " may not make it in ",
                       parent),
          absl::StrCat("make it with mode 1777, or name another one with ", kDirectoryVariable));
    }
  } else if (!S_ISDIR(status.st_mode)) {
    findings->Problem(absl::StrCat(directory, ": is no directory"),
                      absl::StrCat("name another one with ", kDirectoryVariable));
    return;
  } else {
    const bool may = user == geteuid() ? access(path.c_str(), W_OK | X_OK) == 0
                     : user == 0       ? true
                     : status.st_uid == user
                         ? (status.st_mode & (S_IWUSR | S_IXUSR)) == (S_IWUSR | S_IXUSR)
                         : (status.st_mode & (S_IWOTH | S_IXOTH)) == (S_IWOTH | S_IXOTH);
    if (may) {
      findings->Ok(absl::StrCat(directory, ": is there, and user ", user, " may write to it"));
    } else {
      findings->Problem(absl::StrCat(directory, ": user ", user, " may not write to it"),
                        "give it mode 1777, or name another one with HEAPECHO_DIR");
    }
  }

  std::string existing = directory;
  struct statfs system;
  while (statfs((root + existing).c_str(), &system) != 0) {
    if (existing.size() <= 1) return;
    existing = existing.substr(0, std::max<size_t>(existing.rfind('/'), 1));
  }
  const FileSystem file_system = NameOf(system);
  if (file_system.mapping_is_safe) {
    findings->Ok(absl::StrCat("file system: ", file_system.name,
                              ", where recordings are mapped and outlive SIGKILL"));
  } else {
    findings->Note(absl::StrCat("file system: ", file_system.name,
                                ", where mapping is not safe: what changed is written once a second, and a "
                                "SIGKILL costs the last one"));
  }
  const double free_bytes =
      static_cast<double>(system.f_bavail) * static_cast<double>(system.f_bsize);
  constexpr double kOneRecording = 64.0 * 1024 * 1024;
  if (free_bytes < kOneRecording) {
    findings->Problem(
        absl::StrCat("free space: ", output::HumanBytes(free_bytes)),
        "a recording ends where the disk is full; make room, or set HEAPECHO_BUDGET lower");
  } else {
    findings->Ok(absl::StrCat("free space: ", output::HumanBytes(free_bytes)));
  }
  if (system.f_files != 0 && system.f_ffree == 0) {
    findings->Problem("free inodes: none", "no new file can be made there");
  }
}

void CheckKernel(Findings* findings) {
  struct utsname name;
  if (uname(&name) != 0) return;
  int major = 0, minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  const bool populates = major > 5 || (major == 5 && minor >= 14);
  findings->Ok(
      absl::StrCat("kernel: ", name.release,
                   populates ? "" : ", before 5.14: blocks are made present by fallocate"));
}

std::string AgeOf(absl::Time time) {
  const int64_t seconds = absl::ToInt64Seconds(absl::Now() - time);
  if (seconds < 120) return absl::StrCat(std::max<int64_t>(seconds, 0), " s ago");
  if (seconds < 7200) return absl::StrCat(seconds / 60, " min ago");
  if (seconds < 172800) return absl::StrCat(seconds / 3600, " h ago");
  return absl::StrCat(seconds / 86400, " days ago");
}

absl::Time LastSeen(const model::Recording& recording) {
  const uint64_t last = std::max(recording.last_event_ns, recording.begin_ns);
  return absl::FromUnixNanos(static_cast<int64_t>(recording.begin_realtime_ns)) +
         absl::Nanoseconds(static_cast<int64_t>(last - recording.begin_ns));
}

// Records this program while it prints its version, reads the recording back and removes it.
void TryRecording(const std::string& library, const std::string& directory, Findings* findings) {
  const std::string executable = OwnExecutable();
  const absl::StatusOr<Answer> answer = RunToEnd(
      {executable, "--version"},
      {absl::StrCat("LD_PRELOAD=", library), absl::StrCat(kDirectoryVariable, "=", directory),
       absl::StrCat(kIntervalVariable, "=1"), absl::StrCat(kShortVariable, "=keep"),
       // the library leaves this program alone unless it is named
       absl::StrCat(kOnlyVariable, "=", executable.substr(executable.rfind('/') + 1))});
  if (!answer.ok()) {
    findings->Problem(absl::StrCat("a trial: ", answer.status().message()), "");
    return;
  }
  std::string said;  // by the library, on stderr
  for (const absl::string_view line : absl::StrSplit(answer->text, '\n')) {
    if (absl::StartsWith(line, "heapecho: ")) said = std::string(line);
  }
  std::string outcome = "no recording was made";
  const absl::StatusOr<std::vector<std::string>> files = reader::FindRecordings({directory});
  if (files.ok()) {
    for (const std::string& file : *files) {
      if (!absl::StrContains(file, absl::StrCat("-", answer->pid, "-"))) continue;
      const absl::StatusOr<model::Recording> recording = reader::ReadRecording(file);
      if (!recording.ok() || recording->pid != static_cast<uint32_t>(answer->pid)) continue;
      // A pid comes back one day; only what was begun just now is the trial's.
      if (absl::Now() - LastSeen(*recording) > absl::Minutes(1)) continue;
      outcome = recording->samples == 0 ? "its recording is empty" : "";
      unlink(file.c_str());
    }
  }
  if (outcome.empty()) {
    findings->Ok(absl::StrCat("a trial: recorded a program into ", directory, " and read it back"));
  } else {
    findings->Problem(absl::StrCat("a trial: ", outcome),
                      said.empty() ? "" : absl::StrCat("it said: ", said));
  }
}

void CheckRecordings(const std::string& directory, Findings* findings) {
  const absl::StatusOr<std::vector<std::string>> files = reader::FindRecordings({directory});
  if (files.ok()) {
    findings->Ok(absl::StrCat("recordings in ", directory, ": ", files->size()));
  } else {
    findings->Note(
        absl::StrCat("recordings in ", directory,
                     ": none yet; a file begins after 1 MiB or 1 s of a process's life"));
  }
}

// NAME=VALUE pairs closed by NULs, as in /proc/PID/environ.
std::map<std::string, std::string> ParseEnvironment(const std::string& text) {
  std::map<std::string, std::string> out;
  for (const absl::string_view variable : absl::StrSplit(text, '\0', absl::SkipEmpty())) {
    out.insert(
        std::pair<std::string, std::string>(absl::StrSplit(variable, absl::MaxSplits('=', 1))));
  }
  return out;
}

struct Process {
  std::string proc;  // "/proc/412"
  std::string name;
  uint32_t inner_pid = 0;  // in its own pid namespace, as its recording names it
  uid_t user = 0;
};

Process Look(uint64_t pid) {
  Process process;
  process.proc = absl::StrCat("/proc/", pid);
  process.inner_pid = static_cast<uint32_t>(pid);
  process.name = std::string(absl::StripAsciiWhitespace(ReadAll(process.proc + "/comm")));
  for (const absl::string_view line : absl::StrSplit(ReadAll(process.proc + "/status"), '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() < 2) continue;
    if (words[0] == "Uid:" && words.size() > 2) (void)absl::SimpleAtoi(words[2], &process.user);
    if (words[0] == "NSpid:") (void)absl::SimpleAtoi(words.back(), &process.inner_pid);
  }
  return process;
}

// Field 22 of /proc/PID/stat: with the pid it names a process for good.
uint64_t StartTicks(const std::string& proc) {
  const std::string stat = ReadAll(proc + "/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<std::string> words =
      absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
  uint64_t ticks = 0;
  return words.size() > 19 && absl::SimpleAtoi(words[19], &ticks) ? ticks : 0;
}

void CheckItsRecording(const Process& process, const std::string& directory, Findings* findings) {
  const std::string path = absl::StrCat(process.proc, "/root", directory);
  const absl::StatusOr<std::vector<std::string>> files = reader::FindRecordings({path});
  const uint64_t start_ticks = StartTicks(process.proc);
  if (files.ok()) {
    for (const std::string& file : *files) {
      if (!absl::StrContains(file, absl::StrCat("-", process.inner_pid, "-"))) continue;
      const absl::StatusOr<model::Recording> recording = reader::ReadRecording(file);
      if (!recording.ok() || recording->pid != process.inner_pid ||
          recording->start_ticks != start_ticks) {
        continue;
      }
      findings->Ok(absl::StrCat("its recording: ", directory, file.substr(file.rfind('/')), ", ",
                                output::HumanCount(static_cast<double>(recording->samples)),
                                " samples, last written ", AgeOf(LastSeen(*recording))));
      if (recording->keeping != model::Keeping::kMapped) {
        findings->Note(absl::StrFormat(
            "its file is written, not mapped (%s): %.3g s apart, held up for %.3g ms at most",
            recording->keeping == model::Keeping::kAsked ? "HEAPECHO_MAP=0" : "not safe on its file system",
            static_cast<double>(recording->write_pause_ns) / 1e9,
            static_cast<double>(recording->write_longest_ns) / 1e6));
      }
      for (const std::string& note : recording->identity.notes) {
        findings->Problem(note, absl::StrCat("give its user a directory with ", kDirectoryVariable));
      }
      if (recording->recording_end != model::RecordingEnd::kNone) {
        findings->Problem(absl::StrCat("its recording ended early: ",
                                       recording->recording_end == model::RecordingEnd::kDiskFull
                                           ? "the disk was full"
                                           : std::strerror(recording->recording_end_errno)),
                          "restart the process when that is mended");
      }
      return;
    }
  }
  findings->Problem(
      absl::StrCat("its recording: none in ", directory),
      "a file begins after 1 MiB or 1 s of life; look at the process's stderr for a line "
      "that begins with heapecho:");
}

void CheckProcess(uint64_t pid, Findings* findings) {
  const Process process = Look(pid);
  const std::string executable = process.proc + "/exe";
  if (access(process.proc.c_str(), F_OK) != 0) {
    findings->Problem(absl::StrCat("process ", pid, ": there is none"), "");
    return;
  }
  const std::string maps = ReadAll(process.proc + "/maps");
  if (maps.empty() && access((process.proc + "/maps").c_str(), R_OK) != 0) {
    findings->Problem(absl::StrCat("process ", pid, " (", process.name, "): may not be looked at"),
                      "run doctor as its user or as root");
    return;
  }
  const bool is_loaded = absl::StrContains(maps, "libheapecho.so");
  if (is_loaded) {
    findings->Ok(absl::StrCat("process ", pid, " (", process.name, "): the library is loaded"));
  } else {
    findings->Problem(
        absl::StrCat("process ", pid, " (", process.name, "): the library is not loaded"),
        "the next lines say why; it must be there when the program starts");
    if (const absl::StatusOr<Target> target = TargetOf(executable); !target.ok()) {
      findings->Problem(target.status().message(), "");
    }
  }

  const std::map<std::string, std::string> environment =
      ParseEnvironment(ReadAll(process.proc + "/environ"));
  const auto preload = environment.find("LD_PRELOAD");
  if (preload != environment.end() && absl::StrContains(preload->second, "libheapecho.so")) {
    findings->Ok(absl::StrCat("LD_PRELOAD=", preload->second));
    for (const absl::string_view name :
         absl::StrSplit(preload->second, absl::ByAnyChar(" :"), absl::SkipEmpty())) {
      if (!absl::EndsWith(name, "libheapecho.so")) continue;
      const std::string library(name);
      if (library[0] != '/') {
        findings->Problem(absl::StrCat(library, ": is a relative path"),
                          "wrappers change folders; name it from the root");
      } else if (access(absl::StrCat(process.proc, "/root", library).c_str(), R_OK) != 0) {
        findings->Problem(
            absl::StrCat(library, ": is not there for that process, or it may not read it"),
            "copy it into the container, readable for every user");
      }
    }
  } else if (is_loaded) {
    findings->Note(
        "LD_PRELOAD: does not name the library any more, so its children are not recorded");
  } else {
    findings->Problem(
        "LD_PRELOAD: does not name the library",
        "start the process with `heapecho run -- CMD` or LD_PRELOAD=/path/libheapecho.so");
  }
  std::string directory = kDefaultDirectory;
  for (const auto& [name, value] : environment) {
    if (!absl::StartsWith(name, "HEAPECHO_")) continue;
    findings->Note(absl::StrCat(name, "=", value));
    if (name == kDirectoryVariable && !value.empty()) directory = value;
    if (name == kDisableVariable && value == "1") {
      findings->Problem(absl::StrCat(name, "=1 turns recording off"), "unset it");
    }
    // The library asks the kernel for its name too, so a script goes by its own name.
    const std::vector<std::string> only = absl::StrSplit(value, ',', absl::SkipEmpty());
    if (name == kOnlyVariable && !only.empty() &&
        std::find(only.begin(), only.end(), process.name) == only.end()) {
      findings->Problem(absl::StrCat(name, "=", value, " does not name ", process.name), "add it");
    }
  }
  CheckDirectory(directory, absl::StrCat(process.proc, "/root"), process.user, findings);
  if (is_loaded) CheckItsRecording(process, directory, findings);
}

void CheckLibrary(const absl::StatusOr<std::string>& library, Findings* findings) {
  if (!library.ok()) {
    findings->Problem(library.status().message(), "install it beside heapecho");
  } else {
    const absl::StatusOr<Target> self = TargetOf(OwnExecutable());
    const absl::Status loads = self.ok() ? TryLibrary(*library, "", *self) : self.status();
    if (loads.ok()) {
      findings->Ok(absl::StrCat("library: ", *library, ", and this machine's loader takes it"));
    } else {
      findings->Problem(absl::StrCat("library: ", *library, ": ", loads.message()), "");
    }
    struct stat status;
    if (stat(library->c_str(), &status) == 0 && (status.st_mode & S_IROTH) == 0) {
      findings->Problem(absl::StrCat("library: ", *library, ": other users may not read it"),
                        "a worker that drops its user runs unrecorded; chmod a+r");
    }
  }
}

int Doctor(const Arguments& arguments) {
  if (!arguments.operands().empty()) {
    return Fail(kBadInput, absl::StrCat("doctor: takes no PATH: ", arguments.operands()[0]));
  }
  uint64_t pid = 0;
  if (arguments.Has("--pid") && (!absl::SimpleAtoi(arguments.Get("--pid"), &pid) || pid == 0)) {
    return Fail(kBadInput, absl::StrCat("--pid ", arguments.Get("--pid"),
                                        ": must be the number of a process"));
  }
  Findings findings;
  const absl::StatusOr<std::string> library = FindLibrary();
  CheckLibrary(library, &findings);
  CheckKernel(&findings);
  if (pid != 0) {
    CheckProcess(pid, &findings);
  } else {
    const char* set = std::getenv(kDirectoryVariable);
    const std::string directory = set == nullptr || *set == '\0' ? kDefaultDirectory : set;
    CheckDirectory(directory, "", geteuid(), &findings);
    if (library.ok() && access(directory.c_str(), F_OK) == 0) {
      TryRecording(*library, directory, &findings);
    }
    CheckRecordings(directory, &findings);
  }
  const absl::Status status = WriteOutput("", findings.text());
  if (!status.ok()) return Fail(kBadInput, status.message());
  return findings.healthy() ? kDone : kNothing;
}

}  // namespace

Command DoctorCommand() {
  return {"doctor",
          "[--pid N]",
          "why is nothing recorded? Checks each link and names the way out",
          {{"--pid", "N", "look at this process, in its own container"}},
          Operands::kFiles,
          Doctor};
}

}  // namespace heapecho::cli

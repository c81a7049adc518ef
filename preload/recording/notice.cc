// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/notice.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "preload/base/log.h"
#include "preload/base/syscalls.h"
#include "preload/recording/directory.h"
#include "preload/recording/identity.h"
#include "preload/recording/procfs.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;

// Text into bounded memory; what does not fit is cut.
class Line {
 public:
  Line(char* out, size_t room) : out_(out), room_(room) {}
  Line& operator<<(const char* text) {
    const size_t length = strnlen(text, room_ - used_);
    memcpy(out_ + used_, text, length);
    used_ += length;
    return *this;
  }
  Line& operator<<(uint64_t value) {
    char digits[21] = {};
    FormatDecimal(digits, value);
    return *this << digits;
  }
  size_t used() const { return used_; }

 private:
  char* out_;
  size_t room_;
  size_t used_ = 0;
};

struct Unit {
  const char* name;
  uint64_t bytes;
};

Unit UnitOf(uint64_t bytes) {
  constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
  return bytes >= kGiB ? Unit{" GiB", kGiB} : Unit{" MiB", kMiB};
}

void AppendAmount(Line& line, uint64_t bytes, const Unit& unit) {
  const uint64_t hundredths = (bytes / (unit.bytes / 1024) * 100 + 512) / 1024;
  line << hundredths / 100 << (hundredths % 100 < 10 ? ".0" : ".") << hundredths % 100;
}

struct SignalName {
  int signal;
  const char* name;
};
constexpr SignalName kWorthTelling[] = {
    {SIGKILL, "SIGKILL"}, {SIGABRT, "SIGABRT"}, {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},
    {SIGILL, "SIGILL"},   {SIGFPE, "SIGFPE"},   {SIGTRAP, "SIGTRAP"}, {SIGSYS, "SIGSYS"},
    {SIGQUIT, "SIGQUIT"}, {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}};

const char* NameOfSignal(int signal) {
  for (const SignalName& one : kWorthTelling) {
    if (one.signal == signal) return one.name;
  }
  return nullptr;
}

bool IsOomKill(const wire::ChildRecord& reaped) {
  constexpr uint32_t kKnown = wire::kOomKillsBeforeKnown | wire::kOomKillsAfterKnown;
  return WTERMSIG(reaped.status) == SIGKILL && (reaped.flags & kKnown) == kKnown &&
         reaped.oom_kills_after > reaped.oom_kills_before;
}

// "COMMAND-HOST-PID-START-RANDOM.heapecho", where only the dashes between the five are dashes.
bool NamesPid(const char* name, uint64_t pid) {
  const size_t length = strlen(name);
  constexpr char kEnding[] = ".heapecho";
  if (length < sizeof kEnding || strcmp(name + length - strlen(kEnding), kEnding) != 0)
    return false;
  const char* field = name;
  for (int dashes = 0; dashes < 2 && field != nullptr; ++dashes) {
    field = strchr(field, '-');
    if (field != nullptr) ++field;
  }
  const char* end;
  return field != nullptr && ParseDecimal(field, &end) == pid && *end == '-';
}

// Whether the file `name` was begun by this boot's and namespace's `pid`, later than `begin_ns`,
// which becomes its own.
bool IsLaterRecordingOf(int directory, const char* name, uint32_t pid, NoticeScratch& scratch,
                        uint64_t* begin_ns) {
  const long fd =
      Syscall(SYS_openat, directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
  if (Failed(fd)) return false;
  const bool whole =
      Syscall(SYS_pread64, fd, &scratch.header, sizeof scratch.header, 0) == sizeof scratch.header;
  Syscall(SYS_close, fd);
  const wire::FileHeader& header = scratch.header;
  if (!whole || header.magic != wire::kMagic || header.pid != pid || header.begin_ns < *begin_ns ||
      header.pid_namespace != scratch.self.pid_namespace ||
      memcmp(header.boot_id, scratch.self.boot_id, sizeof header.boot_id) != 0) {
    return false;
  }
  *begin_ns = header.begin_ns;
  return true;
}

// The recording of the child that had `pid` last, as scratch.path; "": it left none.
void FindRecording(const char* directory, uint32_t pid, NoticeScratch& scratch) {
  scratch.path[0] = '\0';
  const long fd = Syscall(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (Failed(fd)) return;
  uint64_t begin_ns = 0;
  for (;;) {
    const long bytes = Syscall(SYS_getdents64, fd, scratch.entries, sizeof scratch.entries);
    if (bytes <= 0) break;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(scratch.entries + at);
      at += entry->length;
      if (!NamesPid(entry->name, pid) ||
          strlen(directory) + strlen(entry->name) + 2 > sizeof scratch.path ||
          !IsLaterRecordingOf(static_cast<int>(fd), entry->name, pid, scratch, &begin_ns)) {
        continue;
      }
      strcat(strcat(strcpy(scratch.path, directory), "/"), entry->name);
    }
  }
  Syscall(SYS_close, fd);
}

// Where the process of scratch.path held its memory.
TopLine TopLineOf(NoticeScratch& scratch) {
  const long fd = Syscall(SYS_openat, AT_FDCWD, scratch.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
  if (Failed(fd)) return {};
  TopLine top = {};
  if (Syscall(SYS_pread64, fd, &scratch.header, sizeof scratch.header, 0) ==
      sizeof scratch.header) {
    top = FindTopLine(static_cast<int>(fd), scratch.header);
  }
  Syscall(SYS_close, fd);
  return top;
}

}  // namespace

size_t FormatNotice(const wire::ChildRecord& reaped, bool signalled, const TopLine& top,
                    const char* file, char* line, size_t room) {
  Line out(line, room - 1);
  out << "heapecho: worker " << static_cast<uint64_t>(reaped.pid);
  if (IsOomKill(reaped) && !signalled) {
    out << " OOM-killed";
  } else {
    const char* name = NameOfSignal(WTERMSIG(reaped.status));
    out << " killed by ";
    if (name != nullptr) {
      out << name;
    } else {
      out << "signal " << static_cast<uint64_t>(WTERMSIG(reaped.status));
    }
    if (signalled) out << " of its parent";
  }
  const uint64_t limit = reaped.cgroup_limit;
  if (reaped.max_rss != 0) {
    const Unit unit = UnitOf(limit != 0 ? limit : reaped.max_rss);
    out << " at ";
    AppendAmount(out, reaped.max_rss, unit);
    if (limit != 0) {
      out << " of ";
      AppendAmount(out, limit, unit);
    }
    out << unit.name;
  }
  if (top.percent != 0) {
    out << "; " << uint64_t{top.percent} << " % " << top.file;
    if (top.line != 0) out << ":" << uint64_t{top.line};
    out << " " << top.function << "()";
  }
  if (file[0] != '\0') {
    out << "; heapecho report " << file;
  } else {
    out << "; it left no recording";
  }
  line[out.used()] = '\n';
  return out.used() + 1;
}

void TellOfKill(const wire::ChildRecord& reaped, bool signalled, const char* directory,
                NoticeScratch& scratch) {
  if (NameOfSignal(WTERMSIG(reaped.status)) == nullptr) return;
  FillPlace(scratch.self, scratch.text, sizeof scratch.text);
  FindRecording(directory, static_cast<uint32_t>(reaped.pid), scratch);
  if (scratch.path[0] == '\0' && reaped.start_ticks == 0) return;
  const TopLine top = scratch.path[0] != '\0' ? TopLineOf(scratch) : TopLine{};
  base::Tell(scratch.line,
             FormatNotice(reaped, signalled, top, scratch.path, scratch.line, sizeof scratch.line));
}

}  // namespace heapecho::recording

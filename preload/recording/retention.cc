// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/retention.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/recording/directory.h"
#include "preload/recording/identity.h"
#include "preload/recording/procfs.h"
#include "preload/wire/format.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;

enum class Fate : uint8_t { kKeep, kMayGo, kMayGoLast, kGone };

struct File {
  uint8_t id[16];
  uint8_t parent_id[16];
  uint64_t disk_bytes;
  uint64_t begin_ns;  // CLOCK_REALTIME
  Fate fate;
  char name[191];  // ours are shorter; a longer one is not ours to remove
};

struct Listing {
  uint32_t count;
  uint64_t disk_bytes;
  wire::FileHeader self;  // who asks: boot id and pid namespace
  IdentityScratch scratch;
  char entries[64 << 10];
  File files[kMostFiles];
};

bool IsZero(const uint8_t* id) {
  for (int i = 0; i < 16; ++i) {
    if (id[i] != 0) return false;
  }
  return true;
}

bool MayBeAlive(const wire::FileHeader& header, Listing& listing) {
  if (header.process_end != static_cast<uint32_t>(wire::ProcessEnd::kRunning)) return false;
  if (memcmp(header.boot_id, listing.self.boot_id, sizeof header.boot_id) != 0 ||
      header.pid_namespace != listing.self.pid_namespace) {
    return true;  // nothing can be known about it from here
  }
  char path[40] = "/proc/";
  strcpy(FormatDecimal(path + strlen(path), header.pid), "/stat");
  return ReadSmallFile(path, listing.scratch.text, sizeof listing.scratch.text) != 0 &&
         StartTicks(listing.scratch.text) == header.start_ticks;
}

bool EndsWith(const char* name, const char* ending) {
  const size_t length = strlen(name), ending_length = strlen(ending);
  return length >= ending_length && strcmp(name + length - ending_length, ending) == 0;
}

// What a process that was killed while it began its recording left behind. One takes milliseconds
// to begin.
void SweepIfAbandoned(int directory, const char* name) {
  constexpr uint64_t kLongAgoNs = uint64_t{600} * 1000000000;
  struct stat status;
  if (Failed(Syscall(SYS_newfstatat, directory, name, &status, AT_SYMLINK_NOFOLLOW))) return;
  const uint64_t changed_ns = static_cast<uint64_t>(status.st_ctim.tv_sec) * 1000000000;
  if (S_ISREG(status.st_mode) && changed_ns + kLongAgoNs < ClockNs(CLOCK_REALTIME)) {
    Syscall(SYS_unlinkat, directory, name, 0);
  }
}

void Add(int directory, const char* name, Listing& listing) {
  const size_t length = strlen(name);
  if (!EndsWith(name, ".heapecho") || length >= sizeof File::name || listing.count == kMostFiles)
    return;
  const long fd =
      Syscall(SYS_openat, directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
  struct stat status;
  if (Failed(fd)) {
    // Another user's: it counts, and is not ours to remove.
    if (!Failed(Syscall(SYS_newfstatat, directory, name, &status, AT_SYMLINK_NOFOLLOW))) {
      listing.disk_bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
    return;
  }
  wire::FileHeader header = {};
  const bool whole = !Failed(Syscall(SYS_fstat, fd, &status)) && S_ISREG(status.st_mode) &&
                     Syscall(SYS_pread64, fd, &header, sizeof header, 0) == sizeof header;
  Syscall(SYS_close, fd);
  if (!whole) return;
  const uint64_t disk_bytes = static_cast<uint64_t>(status.st_blocks) * 512;
  listing.disk_bytes += disk_bytes;
  if (header.magic != wire::kMagic) return;  // being begun, or not ours
  File& file = listing.files[listing.count++];
  memcpy(file.id, header.id, sizeof file.id);
  memcpy(file.parent_id, header.parent_id, sizeof file.parent_id);
  file.disk_bytes = disk_bytes;
  file.begin_ns = header.begin_realtime_ns;
  if (MayBeAlive(header, listing)) {
    file.fate = Fate::kKeep;
  } else {
    file.fate = header.process_end == static_cast<uint32_t>(wire::ProcessEnd::kRunning)
                    ? Fate::kMayGoLast
                    : Fate::kMayGo;
  }
  memcpy(file.name, name, length + 1);
}

template <typename Visit>
void ForEachName(int directory, Listing& listing, Visit visit) {
  Syscall(SYS_lseek, directory, 0, SEEK_SET);
  for (;;) {
    const long bytes = Syscall(SYS_getdents64, directory, listing.entries, sizeof listing.entries);
    if (bytes <= 0) return;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(listing.entries + at);
      visit(entry->name);
      at += entry->length;
    }
  }
}

// What all recordings take, without a look into them: most of the time that is all there is to
// know.
uint64_t DiskBytesOf(int directory, Listing& listing) {
  uint64_t disk_bytes = 0;
  ForEachName(directory, listing, [&](const char* name) {
    if (EndsWith(name, ".heapecho.new")) return SweepIfAbandoned(directory, name);
    struct stat status;
    if (EndsWith(name, ".heapecho") &&
        !Failed(Syscall(SYS_newfstatat, directory, name, &status, AT_SYMLINK_NOFOLLOW)) &&
        S_ISREG(status.st_mode)) {
      disk_bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  });
  return disk_bytes;
}

bool IsParentOfRemaining(const Listing& listing, const File& file) {
  for (uint32_t i = 0; i < listing.count; ++i) {
    const File& other = listing.files[i];
    if (other.fate != Fate::kGone && !IsZero(other.parent_id) &&
        memcmp(other.parent_id, file.id, sizeof file.id) == 0) {
      return true;
    }
  }
  return false;
}

File* OldestOf(Listing& listing, Fate fate) {
  File* oldest = nullptr;
  for (uint32_t i = 0; i < listing.count; ++i) {
    File& file = listing.files[i];
    if (file.fate == fate && (oldest == nullptr || file.begin_ns < oldest->begin_ns) &&
        !IsParentOfRemaining(listing, file)) {
      oldest = &file;
    }
  }
  return oldest;
}

}  // namespace

bool MakeRoom(const char* directory, uint64_t keep) {
  const long fd = Syscall(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (Failed(fd))
    return true;  // a directory that can be written to but not listed is not ours to clean
  auto* listing = static_cast<Listing*>(base::MapPrivate(sizeof(Listing), "heapecho listing"));
  const int files = static_cast<int>(fd);
  bool within = listing == nullptr || DiskBytesOf(files, *listing) <= keep;
  if (!within) {
    FillProcessWords(listing->self, listing->scratch);
    ForEachName(files, *listing, [&](const char* name) { Add(files, name, *listing); });
    constexpr Fate kOrder[] = {Fate::kMayGo, Fate::kMayGoLast};
    for (Fate fate : kOrder) {
      while (listing->disk_bytes > keep) {
        File* file = OldestOf(*listing, fate);
        if (file == nullptr) break;
        file->fate = Fate::kGone;
        const long removed = Syscall(SYS_unlinkat, fd, file->name, 0);
        // One that is gone already made its room as well; one that may not be removed makes none.
        if (!Failed(removed) || removed == -2) listing->disk_bytes -= file->disk_bytes;
      }
    }
    within = listing->disk_bytes <= keep;
  }
  base::Unmap(listing, sizeof(Listing));
  Syscall(SYS_close, fd);
  return within;
}

}  // namespace heapecho::recording

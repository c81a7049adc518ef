// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/object_finder.h"

#include <fcntl.h>
#include <link.h>
#include <time.h>

#include <atomic>
#include <cstring>

#include "preload/base/memory.h"
#include "preload/base/symbols.h"
#include "preload/base/syscalls.h"
#include "preload/stack/maps_reader.h"
#include "preload/stack/path_arena.h"

namespace heapecho::stack {
namespace {

// glibc's struct dl_find_object, spelled out so that this builds where the headers are older than
// that.
struct LoaderObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  link_map* map;
  void* eh_frame;
  unsigned long long reserved[7];
};

// _dl_find_object, null before glibc 2.35. Found by name: a reference, even a weak one, would make
// the loader of an older glibc refuse the library for a version that it misses.
constinit std::atomic<int (*)(void*, LoaderObject*)> g_find_loader_object = nullptr;
constinit std::atomic<const char*> g_executable{""};
constinit std::atomic<ObjectSource> g_source{ObjectSource::kOwnTable};

bool AskLoader(uintptr_t address, LoaderObject* found) {
  return g_find_loader_object.load(std::memory_order_relaxed)(reinterpret_cast<void*>(address),
                                                              found) == 0;
}

MappedObject WithoutName(const LoaderObject& found) {
  return {reinterpret_cast<uintptr_t>(found.map_start), reinterpret_cast<uintptr_t>(found.map_end),
          reinterpret_cast<uintptr_t>(found.map), ""};
}

bool FindByLoader(uintptr_t address, MappedObject* object) {
  LoaderObject found;
  if (!AskLoader(address, &found)) return false;
  *object = WithoutName(found);
  object->name = found.map->l_name;
  if (object->name == nullptr || object->name[0] == '\0') {
    object->name = g_executable.load(std::memory_order_relaxed);
  }
  return true;
}

// One of two tables; the one that is not current is rebuilt, then becomes it. A reader that was
// held up for two rebuildings notices by the sequence: it reads words by acquire and then the
// sequence again, and the words were released after the odd sequence, so that a new word brings the
// new sequence with it.
struct Row {
  std::atomic<uintptr_t> start, end, identity;
  std::atomic<const char*> name;
};
struct Table {
  static constexpr uint32_t kRows = 4096;
  std::atomic<uint32_t> sequence;  // odd while being written
  std::atomic<uint32_t> count;
  std::atomic<uint64_t> generation;  // of the objects when the reading began
  Row rows[kRows];                   // by rising start
};
struct Tables {
  Table table[2];
  char buffer[MapsReader::kBufferSize];
};

constinit std::atomic<Tables*> g_tables{nullptr};
constinit std::atomic<uint32_t> g_current{0};
constinit std::atomic<uint64_t> g_generation{1};
constinit std::atomic<uint64_t> g_next_rebuild_ns{0};
// The process that is rebuilding; 0: none. A child that inherited another process's number takes
// over: the thread that wrote it does not exist there.
constinit std::atomic<long> g_builder{0};

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

Tables* TheTables() {
  Tables* tables = g_tables.load(std::memory_order_acquire);  // pairs with the exchange below
  if (tables != nullptr) return tables;
  tables = static_cast<Tables*>(base::MapPrivate(sizeof(Tables), "heapecho objects"));
  if (tables == nullptr) return nullptr;
  Tables* expected = nullptr;
  if (g_tables.compare_exchange_strong(expected, tables, std::memory_order_acq_rel)) return tables;
  base::Unmap(tables, sizeof(Tables));
  return expected;
}

// Fills `table` from the maps alone: what they list may be gone before it could be read. A file
// counts as an object from the mapping of its beginning to the last one that follows, if one of
// them is executable: files that are mapped only to be read do not.
void ReadMaps(Table* table, char* buffer) {
  uint32_t count = 0;
  MapsReader reader(buffer);
  MapsLine line;
  uint64_t device = 0, inode = 0;
  uintptr_t start = 0;  // of the file at hand; 0: none
  uintptr_t previous_end = 0;
  Row* row = nullptr;  // its row, once it has been seen to be executable
  while (reader.Next(&line)) {
    const bool vdso = line.path_length == 6 && std::memcmp(line.path, "[vdso]", 6) == 0;
    if (line.inode == 0 && !vdso)
      continue;  // memory without a file may lie between a file's mappings
    const bool same_file = line.device == device && line.inode == inode;
    // The code of a very small file lies in its first page too, and is mapped right behind it.
    const bool code_of_first_page =
        same_file && row == nullptr && line.executable && line.start == previous_end;
    if (line.offset == 0 && !code_of_first_page) {
      start = line.start;
      device = line.device;
      inode = line.inode;
      row = nullptr;
    } else if (!same_file) {
      start = 0;
      row = nullptr;
    }
    previous_end = line.end;
    if (start == 0 || (!line.executable && row == nullptr)) continue;
    if (row == nullptr) {
      if (count == Table::kRows) break;
      row = &table->rows[count++];
      const char* name = vdso ? "linux-vdso.so.1" : KeepPath(line.path, line.path_length);
      row->start.store(start, std::memory_order_release);
      row->identity.store(device << 40 ^ inode, std::memory_order_release);
      row->name.store(name, std::memory_order_release);
    }
    row->end.store(line.end, std::memory_order_release);
  }
  table->count.store(count, std::memory_order_release);
}

__attribute__((noinline)) bool Rebuild(Tables* tables, bool changed) {
  const uint64_t began = NowNs();
  if (!changed && began < g_next_rebuild_ns.load(std::memory_order_relaxed)) return false;
  const long self = base::Syscall(SYS_getpid);
  long builder = g_builder.load(std::memory_order_relaxed);
  if (builder == self ||
      !g_builder.compare_exchange_strong(builder, self, std::memory_order_acquire)) {
    return false;  // somebody is at it, or a signal interrupted ourselves
  }
  const uint32_t target = 1 - g_current.load(std::memory_order_relaxed);
  Table* const table = &tables->table[target];
  const uint32_t odd = (table->sequence.load(std::memory_order_relaxed) + 1) | 1;
  table->sequence.store(odd, std::memory_order_relaxed);
  table->generation.store(g_generation.load(std::memory_order_acquire), std::memory_order_release);
  ReadMaps(table, tables->buffer);
  table->sequence.store(odd + 1, std::memory_order_release);  // pairs with the reader's first load
  g_current.store(target, std::memory_order_release);         // pairs with the reader's load
  const uint64_t ended = NowNs();
  g_next_rebuild_ns.store(ended + (ended - began) * 1000, std::memory_order_relaxed);
  g_builder.store(0, std::memory_order_release);
  return true;
}

enum class Search { kFound, kAbsent, kOutdated };

Search SearchTable(const Tables* tables, uintptr_t address, MappedObject* object) {
  const Table& table = tables->table[g_current.load(std::memory_order_acquire)];
  const uint32_t sequence = table.sequence.load(std::memory_order_acquire);
  if (sequence == 0 || table.generation.load(std::memory_order_acquire) !=
                           g_generation.load(std::memory_order_acquire)) {
    return Search::kOutdated;
  }
  uint32_t low = 0, high = table.count.load(std::memory_order_acquire);
  while (low <
         high) {  // the last row that begins at or before the address is the one before `high`
    const uint32_t middle = low + (high - low) / 2;
    if (table.rows[middle].start.load(std::memory_order_acquire) <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  bool found = false;
  if (low != 0) {
    const Row& row = table.rows[low - 1];
    object->start = row.start.load(std::memory_order_acquire);
    object->end = row.end.load(std::memory_order_acquire);
    object->identity = row.identity.load(std::memory_order_acquire);
    object->name = row.name.load(std::memory_order_acquire);
    found = address < object->end;
  }
  if (table.sequence.load(std::memory_order_relaxed) != sequence || sequence % 2 != 0) {
    return Search::kOutdated;
  }
  return found ? Search::kFound : Search::kAbsent;
}

bool FindInOwnTable(uintptr_t address, MappedObject* object) {
  Tables* const tables = TheTables();
  if (tables == nullptr) return false;
  Search result = SearchTable(tables, address, object);
  if (result == Search::kFound) return true;
  if (!Rebuild(tables, result == Search::kOutdated)) return false;
  result = SearchTable(tables, address, object);
  return result == Search::kFound;
}

}  // namespace

void InitializeObjectFinder() {
  char path[4096];
  const long length = base::Syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof(path));
  if (!base::Failed(length)) {
    g_executable.store(KeepPath(path, static_cast<size_t>(length)), std::memory_order_relaxed);
  }
  void* const find = base::FindIn("libc.so", "_dl_find_object").address;
  g_find_loader_object.store(reinterpret_cast<int (*)(void*, LoaderObject*)>(find),
                             std::memory_order_relaxed);
  UseObjectSource(find != nullptr ? ObjectSource::kLoader : ObjectSource::kOwnTable);
}

void UseObjectSource(ObjectSource source) { g_source.store(source, std::memory_order_relaxed); }

ObjectSource CurrentObjectSource() { return g_source.load(std::memory_order_relaxed); }

bool FindObject(uintptr_t address, MappedObject* object) {
  return CurrentObjectSource() == ObjectSource::kLoader ? FindByLoader(address, object)
                                                        : FindInOwnTable(address, object);
}

bool StillMapped(uintptr_t start, uintptr_t end, uintptr_t identity) {
  MappedObject object;
  if (CurrentObjectSource() == ObjectSource::kLoader) {
    LoaderObject found;
    if (!AskLoader(start, &found)) return false;
    object = WithoutName(found);
  } else if (!FindInOwnTable(start, &object)) {
    return false;
  }
  return object.start == start && object.end == end && object.identity == identity;
}

void ObjectsMayHaveChanged() { g_generation.fetch_add(1, std::memory_order_release); }

const char* MappedFileName(uintptr_t start) {
  auto* const buffer =
      static_cast<char*>(base::MapPrivate(MapsReader::kBufferSize, "heapecho maps"));
  if (buffer == nullptr) return "";
  const char* name = "";
  {
    MapsReader reader(buffer);
    MapsLine line;
    while (reader.Next(&line)) {
      if (line.start != start) continue;
      if (line.inode != 0) name = KeepPath(line.path, line.path_length);
      break;
    }
  }
  base::Unmap(buffer, MapsReader::kBufferSize);
  return name;
}

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// A recording as plain data: what one process held, read from its file. No I/O, no wire, no output.
// Made by the reader, which guarantees what CheckValid() checks. Not thread-safe, like any plain
// data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace heapecho::model {

// No chain of nodes is longer, however hostile the file: whoever walks stacks may rely on it.
inline constexpr size_t kMaxFrames = 512;

struct StackId {  // index into Recording::stacks; 0 is the unknown stack
  uint32_t value = 0;
  friend bool operator==(StackId, StackId) = default;
};

struct RecordingId {
  std::array<uint8_t, 16> bytes{};
  bool IsZero() const;
  std::string ToHex() const;  // 32 lower-case digits
  friend auto operator<=>(const RecordingId&, const RecordingId&) = default;
};

enum class Domain : uint8_t { kMalloc, kPython, kArrow, kMmap };
// Bytes: larger requests of CPython's object allocator come from malloc (pymalloc's threshold, 3.8 to 3.15).
inline constexpr uint64_t kLargestSmallObject = 512;

const char* DomainName(Domain domain);  // "malloc", "python", "arrow", "mmap"

struct Module {
  uint16_t id = 0;  // as frames name it
  std::string path{};
  std::string build_id{};  // lower-case hex; empty: none
  uint64_t bias = 0;       // run-time address minus ELF virtual address
  uint64_t start = 0, end = 0;
  uint64_t loaded_ns = 0, unloaded_ns = 0;  // monotonic; 0: never unloaded
};

// A native frame in a prefix tree; nodes[0] is the root, which is no frame. parent < nodes.size(),
// chains end at the root within kMaxFrames, and a module other than 0 is one of Recording::modules.
struct Node {
  uint32_t parent = 0;
  uint16_t module = 0;            // 0: no module known, address is absolute
  uint64_t address = 0;           // ELF virtual address made for looking up
  bool evaluates_python = false;  // see PythonNode
};

// How the line table of a code object is written: by CPython 3.8 and 3.9, by 3.10, by 3.11 and
// later.
enum class LineTable : uint8_t { kNone, kLnotab, kLines, kLocations };

struct PythonCode {
  std::string name{};  // qualified from 3.11 on
  std::string file{};  // as the interpreter has it
  int32_t first_line = 0;
  LineTable table = LineTable::kNone;
  std::string table_bytes{};
  friend auto operator<=>(const PythonCode&, const PythonCode&) = default;
};

// A Python frame in a prefix tree of its own; python_nodes[0] is the root, which is no frame.
// Chains end as native ones do. One native frame that evaluates Python runs a group of Python
// frames, whose outermost one is its entry. The stack as it really was: from the innermost frame
// outwards, each native frame that evaluates Python is replaced by the next group; frames of groups
// that are left over are the outermost.
struct PythonNode {
  // Before the first one: its line is the first line.
  static constexpr uint32_t kNoInstruction = UINT32_MAX;
  uint32_t parent = 0;
  uint32_t code = 0;         // index into Recording::python_code; 0: unknown code
  uint32_t instruction = 0;  // byte offset in the code
  bool group_entry = false;
};

// Estimated totals. bytes and objects are sums of weights; the variances are those of these sums.
// All four are finite and not negative.
struct Estimate {
  double bytes = 0;
  double objects = 0;
  double bytes_variance = 0;    // bytes^2
  double objects_variance = 0;  // objects^2
  double BytesError() const;    // one standard error
  double ObjectsError() const;
  Estimate& operator+=(const Estimate& other);
};

// One stack in one domain. The recording keeps no object variance by stack: the reader takes it as
// if all of the stack's blocks had its mean size (bytes variance / mean size^2), which is exact for
// a site that allocates one size. Where the live set is at hand, its entries give the true one.
struct Stack {
  uint32_t native_leaf = 0;  // index into Recording::native_nodes
  uint32_t python_leaf = 0;  // index into Recording::python_nodes; 0: no Python frame
  uint32_t behalf_leaf = 0;  // likewise: the stack on whose behalf this thread did it; 0: nobody's
  Domain domain = Domain::kMalloc;
  bool truncated = false;  // the outermost frames are missing
  bool cut = false;        // the innermost frames are missing
  bool broken = false;  // the walk ended early
  uint64_t first_seen_ns = 0;
  uint32_t samples = 0;
  bool HasNoFrames() const { return native_leaf == 0 && python_leaf == 0 && behalf_leaf == 0; }
  Estimate allocated{};
  Estimate freed{};  // variances are not recorded: zero
  Estimate live{};   // as the process kept it; the live set below says the same entry by entry
  Estimate peak{};   // at the process's high-water mark
};

struct LiveBlock {
  uint64_t address = 0;
  uint64_t size = 0;      // bytes requested
  uint64_t time_ns = 0;   // monotonic
  double weight = 1;      // objects
  uint32_t interval = 1;  // bytes
  uint32_t thread = 0;
  StackId stack{};
  bool inherited = false;       // allocated by the process this one was forked from
  Estimate ToEstimate() const;  // w, size * w, and the variances w^2 (1 - 1/w)
};

// A mapped range of the address space, as it was when the process had last looked.
struct Range {
  enum class Kind : uint8_t {
    kOther,      // of a kind that a later version may know
    kAnonymous,  // private, without a file
    kShared,     // of no file on a disk: anonymous and shared, tmpfs, memfd_create
    kFile,       // a file; a library's zeroed data behind it included
    kStack,      // a thread's, its guard pages included
    kBrkHeap,
    kOwn,        // heapecho's
    kKernel,     // vdso and the like
  };
  uint64_t start = 0;
  uint64_t length = 0;   // bytes
  uint64_t time_ns = 0;  // monotonic: when it was mapped, or found
  Kind kind = Kind::kOther;
  std::optional<Domain> domain{};  // whose it is, or whose raw material
  bool seen = false;      // the program's own call was seen; else the kernel's list told of it
  bool reserve = false;   // raw material of the domain, which counts what it makes of it
  bool measured = false;  // address space that is used page by page
  // Where the weight is not zero it is a live block, too, of `counted` bytes: of a measured one those that
  // had pages when it was looked at.
  double weight = 0;
  uint64_t counted = 0;
  StackId stack{};
  uint32_t interval = 1, thread = 0;
};
const char* RangeKindName(Range::Kind kind);  // "anonymous", "shared", "file", ...

struct Event {
  enum class Kind : uint8_t { kAllocate, kFree };
  Kind kind = Kind::kAllocate;
  Domain domain = Domain::kMalloc;
  uint64_t time_ns = 0, address = 0, size = 0, allocated_ns = 0;
  double weight = 1;
  uint32_t interval = 1, thread = 0;
  StackId stack{};
};

// A thread that was sampled. The kernel uses ids again: what a thread did at a time belongs to the
// youngest of its id that is not younger than that.
struct Thread {
  uint32_t id = 0;       // the kernel's
  uint32_t ordinal = 0;  // which of the process's threads that allocated
  uint64_t first_seen_ns = 0;
  std::string name{};  // the kernel's: the process's unless somebody named the thread
};

// A moment of the process's life, and what it held then. Amounts are bytes unless they say otherwise.
struct HistoryPoint {
  uint64_t from_ns = 0;  // it stands for the time from here on,
  uint64_t merged = 1;   //   and for so many points that were taken in it
  uint64_t time_ns = 0;  // monotonic, as all times here but the two below
  uint64_t realtime_ns = 0, boottime_ns = 0;
  bool rss_known = false, cgroup_known = false;
  uint64_t rss_anon = 0, rss_file = 0, rss_shmem = 0, swap = 0;
  uint64_t cgroup_current = 0;
  uint64_t cgroup_limit = 0;      // 0: none
  uint64_t cgroup_oom_kills = 0;  // so far
  uint64_t rss_most = 0, cgroup_most = 0;  // highest since from_ns
  double live_most = 0;
  Estimate live{};                // whole process; objects_variance is not recorded: zero
  double allocated = 0, freed = 0;  // since the process began
  std::array<double, 4> domain_live{};
  uint64_t samples = 0, dropped = 0, own_ns = 0, cpu_ns = 0;
  uint64_t interval = 0;
  uint32_t threads = 0;           // 0: unknown
  // What the process knew of the parts of its memory; bytes, present unless they say otherwise.
  struct Parts {
    bool allocators_known = false;   // the first two
    bool malloc_free_known = false;  // the third
    bool presence_known = false;     // all others, as they were not long before
    uint64_t python_arenas = 0;      // that CPython's allocator had, present or not
    uint64_t python_small = 0;       // live small objects in them, as it rounds them
    uint64_t malloc_free = 0;        // that malloc kept, by its own word
    uint64_t malloc_heap = 0;        // of what malloc takes its blocks from
    uint64_t arrow_reserve = 0;      // of what Arrow's pools take their blocks from
    uint64_t own_private = 0;        // heapecho's tables
    uint64_t own_file = 0;           // of its recording and of the library
    uint64_t stacks = 0;             // of threads
    uint64_t file_private = 0;       // own copies of files' pages, libraries' data
    uint64_t untouched = 0;          // not present, of live blocks
    uint64_t shared_live = 0;        // shared memory that is live in domain mmap
    uint64_t inherited = 0;          // as it was at the fork: another process has it too
  };
  Parts parts{};
  struct Held {
    StackId stack{};
    double bytes = 0;
    double bytes_variance = 0;
  };
  std::vector<Held> stacks;       // those that held most, and those that grew most; by id, unique
  double unlisted_live = 0;       // what all the others held
  double unlisted_most = 0;       // none of the others held more
  uint64_t rss() const { return rss_anon + rss_file + rss_shmem; }
};

// The control group's memory by kind, at one moment. Bytes; 0 also: not told.
struct CgroupMemory {
  uint64_t time_ns = 0;  // monotonic; 0: nobody looked
  uint64_t peak = 0;
  uint64_t anon = 0, file = 0, shmem = 0, inactive_file = 0;  // file has shmem in it
  uint64_t kernel = 0, slab = 0, page_tables = 0, kernel_stack = 0, sock = 0;
  uint64_t limit_hits = 0;  // times
  // What the kernel itself takes, sockets included.
  uint64_t Kernel() const;
};

struct Counter {
  std::string name{};
  uint64_t value = 0;
};

// What this process was told when it waited: how a child of its ended.
struct ChildEnd {
  uint64_t time_ns = 0;      // monotonic
  uint64_t start_ticks = 0;  // the child began then or later; 0: unknown
  uint32_t pid = 0;          // as this process sees it
  int exit_status = -1;      // -1: it was killed
  int signal = 0;            // 0: it exited
  uint64_t max_rss = 0;      // bytes; 0: unknown
  // How often the OOM killer had struck in this process's control group, at its last look before
  // and afterwards.
  std::optional<uint64_t> oom_kills_before{}, oom_kills_after{};
  uint64_t cgroup_current = 0, cgroup_limit = 0;  // bytes, afterwards; 0: unknown or none
};

// What this process was about to send, to end somebody.
struct SentSignal {
  uint64_t time_ns = 0;
  uint64_t start_ticks = 0;  // of the target; 0: unknown
  int32_t pid = 0;           // as kill(2) takes it
  int signal = 0;
  bool failed = false;
};

enum class ProcessEnd : uint8_t { kRunning, kExited, kExec };  // kRunning: or killed, see cli
enum class RecordingEnd : uint8_t { kNone, kDiskFull, kRemap, kIoError, kUnknown };

// One part of the file, for those who ask where its budget went.
struct SectionInfo {
  std::string name{};        // "stacks", "events", ...; "kind 17" when not known
  uint64_t offset = 0;       // bytes
  uint64_t size = 0;         // bytes reserved
  uint64_t record_size = 0;  // bytes; 1 for logs
  uint64_t records = 0;      // in use, of record_size bytes each; never more than fit into size
};

struct Identity {
  std::string host, container, executable, user, working_directory, kernel, libc, allocator, cgroup,
      library_version;
  std::string python_version;  // "3.11.7"; empty: no interpreter was met
  std::string python_walk;     // "full", or "native-only: " and why; empty: not decided
  std::vector<std::string> arrow;  // each libarrow met: "libarrow.so.2100: recorded", or what is not and why
  std::string python_domain;   // "hooked", or "not hooked: " and why; empty: not decided
  std::vector<std::string> command;
  std::vector<std::string> environment;  // NAME=VALUE
  std::vector<std::string> notes;
  uint64_t cgroup_limit = 0;  // bytes; 0: none known
};

// How the file was kept: each store was its own at once (mapped), or pages that changed were written now and then, since a
// mapping is not safe on that file system, or because it was asked for.
enum class Keeping : uint8_t { kMapped, kWritten, kAsked };

struct Recording {
  std::string file;  // path as given
  uint64_t file_bytes = 0, disk_bytes = 0;
  RecordingId id, parent_id, boot_id;
  uint32_t pid = 0, ppid = 0, uid = 0, pid_namespace = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
  uint64_t process_start_ns = 0, begin_ns = 0, begin_realtime_ns = 0, begin_boottime_ns = 0;
  uint64_t forked_at_ns = 0, last_event_ns = 0, process_end_ns = 0, recording_end_ns = 0,
           peak_ns = 0;
  uint64_t interval_configured = 0, interval_now = 0, budget = 0;  // bytes; configured 0: auto
  uint64_t samples = 0;
  uint32_t threads_seen = 0;     // that allocated
  uint32_t threads_at_most = 0;  // at once, at the moments when somebody looked; 0: not known
  uint64_t own_ns = 0, cpu_ns = 0;
  uint64_t python_arena_bytes = 0;  // that CPython's allocator had from the system for small objects
  Keeping keeping = Keeping::kMapped;
  // Of a file that was written: from one time to the next, and the longest that a thread was held up. What happened
  // after last_event_ns, and before a kill, is not in it.
  uint64_t write_pause_ns = 0, write_longest_ns = 0;
  ProcessEnd process_end = ProcessEnd::kRunning;
  int32_t exit_status = 0;
  RecordingEnd recording_end = RecordingEnd::kNone;
  int32_t recording_end_errno = 0;
  Estimate allocated, freed, live, peak;  // whole process
  Identity identity;
  std::vector<Counter> counters;
  std::vector<SectionInfo> sections;  // in the file's order; those that could not be read too
  std::vector<Module> modules;        // by id, unique
  std::vector<Node> native_nodes;
  std::vector<PythonNode> python_nodes;  // empty: no Python
  std::vector<PythonCode> python_code;   // [0] stands for unknown code; empty: no Python
  std::vector<Stack> stacks;
  std::vector<Thread> threads;  // by id, then first_seen_ns
  std::vector<LiveBlock> live_blocks;  // sampled ones, and mapped ranges that have a weight
  std::vector<Range> ranges;           // by address; none overlaps another
  std::vector<ChildEnd> child_ends;      // in their order
  std::vector<SentSignal> sent_signals;  // in their order
  // The last look at the process and its control group: when, and bytes; 0: never, unknown.
  uint64_t looked_ns = 0, peak_rss = 0, cgroup_current = 0, cgroup_limit = 0;
  CgroupMemory cgroup;
  // When the allocator below was asked last, and the longest that it took; 0: never.
  uint64_t allocator_ns = 0, allocator_took_ns = 0, allocator_asked = 0;
  uint64_t look_longest_ns = 0;  // CPU time, what the allocator was asked left out
  std::vector<Event> events;  // by time; those of one moment in the order of writing
  uint64_t events_complete_from_ns = UINT64_MAX;  // none of a later moment was overwritten or lost
  // Of a file that was written: none of an earlier moment, but after the one above, is missing.
  uint64_t events_complete_to_ns = UINT64_MAX;
  // Likewise: the moment that everything else is of, or a little later. What is younger may name
  // what is not there.
  uint64_t tables_ns = UINT64_MAX;
  std::vector<HistoryPoint> history;  // by time, no two of one moment; none lies within a later one's time
  uint64_t torn_live = 0, torn_events = 0;  // records that a kill or damage left incomplete
  std::vector<std::string> warnings;        // what was wrong with the file, in words

  // Empty when every index is in range, every chain ends, every estimate is finite and not
  // negative, lists are in the order that they promise and nothing is younger than last_event_ns;
  // else the first thing that is not so. Takes time in proportion to the recording, and memory for
  // its nodes.
  std::string CheckValid() const;
};

}  // namespace heapecho::model

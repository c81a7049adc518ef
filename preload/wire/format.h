// SPDX-License-Identifier: Apache-2.0
// The layout of a recording, as both sides see it: the preload library writes it, the analyzer reads it.
//
// A recording is one sparse file per process. Page 0 is the FileHeader; it lists the sections, each an array
// of fixed-size records or a log of length-prefixed ones. All integers are little-endian, all times are
// nanoseconds of CLOCK_MONOTONIC unless a name says otherwise, all sizes are bytes unless a name says
// otherwise. A reader skips section kinds, identity keys, module record kinds and event kinds that it does
// not know, and trusts nothing: every index may be out of range and every chain may be a cycle.
//
// The writer never holds a lock and may be killed between any two stores. What a record promises:
//   event, live,    valid exactly when `check` equals CheckOf() of the record; all-zero means never written.
//   child, range    A live record with neither check nor address is empty, its other words are of a block that
//                   was freed. A block of events taken anew is not wiped: an event that is not valid, has a
//                   check, and is older than the block's started_ns is of the block's life before
//   stack, thread   each word is valid by itself; words of one record may be one event apart
//   node            written once before anything refers to it; rewritten only after a fold (then the stacks
//                   that referred to it are gone or younger, see StackRecord::first_seen_ns)
//   logs            bytes beyond Section::committed do not exist
// FORMAT.md says the same in prose with an example. To change the layout: raise kVersion, keep the old
// version's golden recording, teach the reader both.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::wire {

inline constexpr uint64_t kMagic = 0x4f48434550414548;  // "HEAPECHO" in file order
inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kHeaderSize = 4096;
inline constexpr size_t kMaxSections = 16;
inline constexpr size_t kMaxNativeFrames = 512;  // innermost are kept, the cut is marked kStackTruncated

// Byte and object totals are fixed point, so that adding and taking back leaves exactly nothing.
inline constexpr uint64_t kFixedPointOne = 256;

enum class SectionKind : uint32_t {
  kNone = 0,
  kIdentity = 1,     // log of IdentityRecord
  kCounters = 2,     // CounterRecord[]
  kModules = 3,      // log of ModuleRecord
  kNativeNodes = 4,  // NodeRecord[]; index 0 is the root, "no frame"
  kPythonNodes = 5,  // NodeRecord[] of Python frames; index 0 is the root
  kPythonCode = 6,   // log of CodeRecord
  kStacks = 7,       // StackRecord[]; index 0 is kUnknownStack
  kLive = 8,         // LiveRecord[]; any slot may be empty
  kEvents = 9,       // blocks of block_size bytes: BlockHeader, then EventRecord[]
  kHistory = 10,     // slots of record_size bytes: HistoryPoint, then HistoryStack[]; any slot may be empty
  kThreads = 11,     // ThreadRecord[]
  kChildren = 12,    // ChildRecord[]; any slot may be empty
  kRanges = 13,      // RangeRecord[]; any slot may be empty
};

struct Section {
  uint32_t kind;         // SectionKind
  uint32_t record_size;  // bytes of a record; for logs the alignment; for kEvents the size of a block
  uint64_t offset;       // from the start of the file, a multiple of 4096
  uint64_t size;         // bytes reserved
  uint64_t committed;    // logs: bytes that are valid. Arrays: records at or beyond this index are empty;
                         // those below it may be holes of the sparse file, which are empty too
};

enum class ProcessEnd : uint32_t {
  kRunning = 0,  // or killed: the analyzer decides by looking whether the process still exists
  kExited = 1,   // exit_status holds what was passed to exit
  kExec = 2,     // replaced itself by another program
};

enum class RecordingEnd : uint32_t {
  kNone = 0,        // complete up to the process's end
  kDiskFull = 1,    // a block could not be made present: the file system is full or the quota is used up
  kRemap = 2,       // a mapping of ours could not be made or kept
  kIoError = 3,     // the file system reported an error that is none of the above
};

// How the file is kept. Where it is written, what it says is a moment: that of the last event that was before the
// writing, which is the header's last_event_ns. The section of events has a moment of its own, events_complete_ns.
enum class Keeping : uint32_t {
  kMapped = 0,     // each store is the file's at once
  kWritten = 1,    // pages that changed are written now and then: a mapping is not safe on this file system
  kAsked = 2,      // the same, because it was asked for
};

// Page 0. Words up to `static_check` are written once, before the file gets its final name visible to
// readers; the words after it are rewritten at each sampled event.
struct FileHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_size;  // kHeaderSize
  uint64_t file_size;    // bytes, sparse
  uint8_t id[16];        // random, names this recording
  uint8_t parent_id[16]; // recording of the process this one was forked from; zero: none
  uint8_t boot_id[16];   // /proc/sys/kernel/random/boot_id
  uint32_t pid;          // in its own pid namespace
  uint32_t ppid;
  uint32_t uid;
  uint32_t pid_namespace;         // inode of /proc/self/ns/pid, low 32 bits; 0: unknown
  uint64_t start_ticks;           // field 22 of /proc/self/stat: clock ticks after boot
  uint64_t process_start_ns;      // when the library was initialised in this process (or fork was noticed)
  uint64_t begin_ns;              // when this file began; the three clocks of one moment:
  uint64_t begin_realtime_ns;     //   CLOCK_REALTIME
  uint64_t begin_boottime_ns;     //   CLOCK_BOOTTIME
  uint64_t forked_at_ns;          // live records older than this are inherited from parent_id; 0: no fork
  uint64_t interval_configured;   // bytes; 0: auto
  uint64_t budget;                // bytes this file may take
  uint32_t section_count;
  uint32_t reserved0;
  uint64_t static_check;          // CheckWords of all words before it, seed kMagic

  uint64_t last_event_ns;
  uint32_t process_end;     // ProcessEnd
  int32_t exit_status;      // of kExited; -1: main returned and the status is not known
  uint64_t process_end_ns;
  uint32_t recording_end;   // RecordingEnd
  int32_t recording_end_errno;
  uint64_t recording_end_ns;
  uint64_t interval_now;    // bytes
  uint64_t samples;         // sampled allocations of this process, those before the file began included
  // Whole-process sums, fixed point; variances in bytes^2 and objects^2 as IEEE doubles.
  uint64_t allocated_bytes, allocated_objects;
  uint64_t freed_bytes, freed_objects;
  uint64_t live_bytes, live_objects;
  uint64_t peak_bytes, peak_objects;  // live_bytes at its highest, and live_objects at that moment
  double allocated_variance, allocated_object_variance;
  double live_variance, live_object_variance;
  double peak_variance, peak_object_variance;
  uint64_t peak_ns;
  uint32_t peak_mark;       // StackRecord::peak_* is the stack's share of the peak only at this mark
  uint32_t threads_seen;
  uint64_t own_ns;          // CPU time of sampled events, as this process estimates it
  uint64_t cpu_ns;          // CPU time of the process at the last look

  Section sections[kMaxSections];  // section_count of them; kind, size and offset are static

  // Live words again. The last look at the process and its control group, at most once a second and at exit.
  uint64_t looked_ns;       // 0: never
  uint64_t peak_rss;        // bytes, the kernel's high-water mark; 0: unknown, as the two below
  uint64_t cgroup_current;  // bytes
  uint64_t cgroup_limit;    // bytes, the lowest of the group and those above it; 0 also: none
  uint32_t threads_at_most;  // the most threads at once, at the moments when somebody looked; 0: not known
  uint32_t keeping;          // Keeping; written once, before the file gets its name
  uint64_t python_arena_bytes;  // that CPython's allocator has from the system for its small objects
  uint64_t write_pause_ns;   // of a file that is written: how much a kill may cost, as it was last
  uint64_t write_longest_ns; // the longest that a thread of the process was held up by it

  // The control group's memory by kind, as the kernel had it at cgroup_stat_ns (0: never), which is more rarely than the
  // looks above; bytes, 0 also where the kernel does not tell. cgroup_file has cgroup_shmem in it, cgroup_kernel has the
  // slab, page tables and stacks where it is told as a whole.
  uint64_t cgroup_stat_ns;
  uint64_t cgroup_peak;
  uint64_t cgroup_anon, cgroup_file, cgroup_shmem, cgroup_inactive_file;
  uint64_t cgroup_kernel, cgroup_slab, cgroup_page_tables, cgroup_kernel_stack, cgroup_sock;
  uint64_t cgroup_limit_hits;  // how often the group was at its limit and had to find memory
  // What the allocator below said of itself, at allocator_ns (0: was never asked).
  uint64_t allocator_ns;
  uint64_t allocator_took_ns;  // the longest that it took to say so
  uint64_t allocator_asked;    // how often
  uint64_t look_longest_ns;    // the most CPU time that a look took, what the allocator was asked left out
  // Of a file that is written: all events up to this moment that the ring still held are in it; 0: of a writer that did
  // not know this word, all up to last_event_ns.
  uint64_t events_complete_ns;
};
static_assert(sizeof(Section) == 32, "a recording's layout: raise kVersion (see the top of this file)");
static_assert(offsetof(FileHeader, static_check) == 160, "a recording's layout: raise kVersion");
static_assert(offsetof(FileHeader, sections) == 368, "a recording's layout: raise kVersion");
static_assert(offsetof(FileHeader, looked_ns) == 880, "a recording's layout: raise kVersion");
static_assert(sizeof(FileHeader) <= kHeaderSize);

enum class IdentityKey : uint16_t {
  kHost = 1,
  kContainer = 2,       // id read off the cgroup or the mount table; absent: none recognised
  kExecutable = 3,
  kCommand = 4,         // argv, each argument closed by a NUL
  kUser = 5,            // name or number
  kWorkingDirectory = 6,
  kKernel = 7,
  kLibc = 8,
  kAllocator = 9,       // path of the module that serves malloc below us
  kEnvironment = 10,    // NAME=VALUE, one record per variable that matters
  kCgroup = 11,         // one line of /proc/self/cgroup
  kCgroupLimit = 12,    // decimal bytes
  kPython = 13,         // version, e.g. 3.11.7
  kPythonWalk = 14,     // "full", or "native-only: " and why
  kLibraryVersion = 15, // heapecho's own
  kNote = 16,           // a sentence for the reader of the report
  kArrow = 17,          // one record for each libarrow: its file's name, and "recorded" or "not recorded: " and why
  kPythonDomain = 18,   // "hooked", or "not hooked: " and why; of several the last one counts
};

struct IdentityRecord {  // followed by `length` bytes, padded to 8
  uint32_t length;
  uint16_t key;  // IdentityKey
  uint16_t reserved;
};
static_assert(sizeof(IdentityRecord) == 8);

struct CounterRecord {
  char name[40];  // NUL-padded
  uint64_t value;
};
static_assert(sizeof(CounterRecord) == 48);

enum class ModuleRecordKind : uint16_t { kLoaded = 1, kUnloaded = 2 };

// A mapped ELF file, as first met by a stack. Followed by build_id_length + path_length bytes, padded to 8.
struct ModuleRecord {
  uint32_t length;  // of the whole record with its tail and padding
  uint16_t kind;    // ModuleRecordKind; kUnloaded has no tail
  uint16_t id;      // from 1, in order of appearance, never reused; 0 is "no module"
  uint64_t time_ns;
  uint64_t bias;    // run-time address minus the ELF's virtual address
  uint64_t start;   // run-time range
  uint64_t end;
  uint32_t build_id_length;
  uint32_t path_length;
};
static_assert(sizeof(ModuleRecord) == 48);

// One frame below its caller. A stack is the chain from its leaf (innermost frame) to the root.
// location: module id in the top 16 bits, ELF virtual address in the low 48; with module 0 the absolute
// run-time address. The address is made for looking up: the return address minus one, or the exact
// instruction where a signal interrupted.
struct NodeRecord {
  uint32_t parent;  // index of the caller's node; 0: outermost frame
  uint32_t location_low;
  uint32_t location_high;
};
static_assert(sizeof(NodeRecord) == 12);

// In a native node's location: an evaluation of Python code ran in this frame. The next group of Python frames
// (see PythonNode below) of the stack takes its place. No user-space address has this bit.
inline constexpr uint64_t kEvaluationFrame = uint64_t{1} << 47;

// A Python frame is a NodeRecord too: location_low is the id of its code, location_high its instruction.
// Frames are grouped: one native evaluation frame runs one or more Python frames, of which the outermost carries
// kGroupEntry. Walking a stack from its innermost frames, each native node with kEvaluationFrame is replaced by
// the next Python frames up to and with one that carries kGroupEntry; Python frames that are left over when the
// native ones end (a cut or broken walk) are the outermost.
inline constexpr uint32_t kGroupEntry = uint32_t{1} << 31;
// Byte offset of the instruction in the code; kNoInstruction: before the first one, its line is the first line.
inline constexpr uint32_t kInstructionMask = (uint32_t{1} << 30) - 1;
inline constexpr uint32_t kNoInstruction = kInstructionMask;

enum class LineTable : uint8_t {
  kNone = 0,
  kLnotab = 1,     // 3.8, 3.9: pairs of (bytes of code, signed lines)
  kLines = 2,      // 3.10, PEP 626: pairs, -128 means no line
  kLocations = 3,  // 3.11 and later, PEP 657: varint entries
};

// A code object. Followed by name_length + file_length + table_length bytes, padded to 8. Names are UTF-8, what
// has no such encoding (lone surrogates) is replaced by U+FFFD.
struct CodeRecord {
  uint32_t length;      // of the whole record with its tail and padding
  uint32_t id;          // from 1, in order of appearance
  int32_t first_line;
  uint8_t table;        // LineTable
  uint8_t reserved[3];
  uint32_t name_length;  // qualified name from 3.11 on, before it the plain one
  uint32_t file_length;
  uint32_t table_length;
  uint32_t reserved1;
};
static_assert(sizeof(CodeRecord) == 32);

inline constexpr uint8_t kNoDomain = 0xff;  // of a StackRecord that is nobody's and holds nothing
enum class Domain : uint8_t { kMalloc = 0, kPython = 1, kArrow = 2, kMmap = 3 };
inline constexpr size_t kDomains = 4;

inline constexpr uint32_t kUnknownStack = 0;  // samples whose stack could not be kept; counted

enum StackFlags : uint16_t {
  kStackTruncated = 1,  // outermost frames are missing: there were more than kMaxNativeFrames, or than of Python's are kept
  kStackBroken = 2,     // the walk ended at a frame it could not step over
  kStackCut = 4,        // innermost frames are missing: the tables were full, or the stack was folded into its caller
};

// Totals of one stack in one domain, updated in place.
struct StackRecord {
  uint32_t native_leaf;  // index into kNativeNodes
  uint32_t python_leaf;  // index into kPythonNodes; 0: none
  uint32_t reserved1;
  uint32_t behalf_leaf;  // index into kPythonNodes: the stack on whose behalf a pool's thread did this; 0: nobody's
  uint16_t flags;        // StackFlags
  uint8_t domain;        // Domain
  uint8_t reserved;
  uint32_t last_used_s;    // seconds after process_start_ns
  uint64_t first_seen_ns;  // events older than this belong to a folded predecessor: unknown stack
  uint64_t allocated_bytes, allocated_objects;  // fixed point
  uint64_t freed_bytes, freed_objects;          // of what this process allocated itself
  uint64_t live_bytes, live_objects;            // inherited ones included
  double allocated_variance, live_variance;     // bytes^2
  uint64_t peak_bytes, peak_objects;  // what was live here at the process's peak, if peak_mark is the
  double peak_variance;               //   header's; else the live words are (nothing changed since)
  uint32_t peak_mark;
  uint32_t samples;
};
static_assert(sizeof(StackRecord) == 128, "a recording's layout: raise kVersion");

// One sampled allocation that has not been freed. Its weight stands for `weight` objects and
// size * weight bytes; it was fixed when it was sampled (or last thinned) with `interval`.
struct LiveRecord {
  uint64_t address;
  uint64_t size;     // bytes requested
  uint64_t time_ns;  // when it was allocated
  double weight;     // objects; 1 / (1 - exp(-size / interval))
  uint32_t stack;
  uint32_t thread;   // kernel thread id
  uint32_t interval; // bytes
  uint32_t reserved;
  uint64_t check;    // seed: the slot's index
};
static_assert(sizeof(LiveRecord) == 56, "a recording's layout: raise kVersion");

// What stands behind the pages of a range.
enum class RangeKind : uint8_t {
  kAnonymous = 1,  // private, without a file
  kShared = 2,     // of no file on a disk: anonymous and shared, tmpfs, memfd_create
  kFile = 3,       // a file; a library's zeroed data behind it included
  kStack = 4,      // a thread's, its guard pages included
  kBrkHeap = 5,
  kOwn = 6,        // heapecho's
  kKernel = 7,     // vdso and the like
};

enum RangeFlags : uint16_t {
  kRangeSeen = 1,      // the program's own call was seen; else /proc/self/maps told of it
  kRangeReserve = 2,   // raw material of the domain
  kRangeMeasured = 4,  // address space that is used page by page
};

// A mapped range of the address space, as it was when the table was last brought up to date. With a weight it is a live
// block of its stack: `counted` of its bytes, each of which stands for `weight` bytes.
struct RangeRecord {
  uint64_t start;
  uint64_t length;   // bytes
  uint64_t time_ns;  // when it was mapped, or found; of a measured one, when it last had more pages than before
  uint64_t counted;  // bytes; of a measured one: those that had pages when it was looked at
  uint32_t stack;
  uint32_t weight;   // 1/256; 0: in no totals
  uint32_t thread;   // kernel thread id; 0: unknown
  uint32_t interval; // bytes; 1: it was certain to be taken
  uint8_t kind;      // RangeKind
  uint8_t domain;    // Domain, whose it is or whose raw material; kNoDomain: nobody's
  uint16_t flags;    // RangeFlags
  uint32_t objects;  // 1/256: of the totals, what has not been unmapped; a part has its share
  uint64_t check;    // seed: the slot's index
};
static_assert(sizeof(RangeRecord) == 64, "a recording's layout: raise kVersion");

// A thread that was sampled. Each word is valid by itself; a record whose thread is zero is none. The kernel uses the
// ids of threads again: what `thread` did at a time belongs to its youngest record that is not younger than that.
struct ThreadRecord {
  uint32_t thread;   // kernel thread id
  uint32_t ordinal;  // which of the process's threads that allocated, from 0
  uint64_t first_seen_ns;
  char name[16];     // the kernel's, as it was at one of the thread's events; NUL-padded
};
static_assert(sizeof(ThreadRecord) == 32, "a recording's layout: raise kVersion");

enum class EventKind : uint8_t { kAllocate = 1, kFree = 2 };

struct EventRecord {
  uint64_t time_ns;
  uint64_t address;
  uint64_t size;          // bytes requested
  uint64_t allocated_ns;  // kFree: when the block was allocated; kAllocate: 0
  double weight;          // as in LiveRecord
  uint32_t stack;
  uint32_t thread;
  uint32_t interval;
  uint8_t kind;    // EventKind
  uint8_t domain;  // Domain
  uint16_t reserved;
  uint64_t check;  // seed: block sequence * 2^20 + index in the block
};
static_assert(sizeof(EventRecord) == 64, "a recording's layout: raise kVersion");

// Blocks are taken in ring order and overwritten, so a block's records are one writer's (or, beyond 32
// threads, a few writers') events in nearly their order; sort by time across blocks.
struct BlockHeader {
  uint64_t sequence;  // from 1, rises with each block taken; 0: never used
  uint64_t started_ns;
  uint32_t writer;    // which of the writers' slots
  uint32_t reserved;
  uint64_t check;     // CheckWords of the words before it, seed kMagic
};
static_assert(sizeof(BlockHeader) == 32);

enum class ChildKind : uint32_t {
  kReaped = 1,     // a child ended, and this process was told so by wait
  kSignalled = 2,  // this process is about to send a signal that ends processes
};

enum ChildFlags : uint32_t {
  kOomKillsBeforeKnown = 1,
  kOomKillsAfterKnown = 2,
  kSignalFailed = 4,  // the call that was about to be made failed
};

// What this process knows about the end of another one. Slots are taken in rings, one for children that exited, one for
// those that were killed, one for signals, so that many of one kind leave the others alone: sort by sequence.
struct ChildRecord {
  uint64_t sequence;  // from 1, rises with each record of the process
  uint64_t time_ns;
  // When the other process began, in clock ticks after boot. kReaped: that or later (when fork was called); kSignalled:
  // exactly, as field 22 of its stat says. 0: unknown.
  uint64_t start_ticks;
  int32_t pid;     // kSignalled: as the sender gave it: 0 or below means process groups, as for kill(2)
  int32_t status;  // kReaped: as wait gives it; kSignalled: the signal
  uint64_t max_rss;  // bytes, kReaped: the most the child had resident (wait4's word); 0: unknown
  // kReaped by a signal: how often the OOM killer struck in this process's control group, when it was looked at last
  // before, and now; see flags.
  uint64_t oom_kills_before, oom_kills_after;
  uint64_t cgroup_current, cgroup_limit;  // bytes, likewise; 0: unknown or none
  uint32_t kind;   // ChildKind
  uint32_t flags;  // ChildFlags
  uint64_t check;  // seed: the slot's index
};
static_assert(sizeof(ChildRecord) == 88, "a recording's layout: raise kVersion");

// What one stack held at a point of the history.
struct HistoryStack {
  uint32_t stack;
  float live_variance;  // of live_bytes, bytes^2
  uint64_t live_bytes;  // fixed point
};
static_assert(sizeof(HistoryStack) == 16);

enum HistoryFlags : uint32_t {
  kHistoryRssKnown = 1,
  kHistoryCgroupKnown = 2,
  kHistoryOomKillsKnown = 4,
  kHistoryAllocatorsKnown = 8,   // parts.python_arenas and python_small say something
  kHistoryMallocFreeKnown = 16,  // parts.malloc_free
  kHistoryPresenceKnown = 32,    // the others of parts, as they were not long before
};

// One moment of the process's life, in slots of no order: sort by time_ns. When the slots are full, a point is merged
// into its later neighbour, which then also stands for the time before it. So a point has two parts, each valid by a
// check of its own: the moment, which is written once, and what it covers, which a merge rewrites, each time in the
// older one of two places: valid is the one that has merged more. A point that lies within what a later one covers has
// been merged into it.
struct HistoryCover {
  uint64_t from_ns;      // the point stands for the time from here on to its time_ns
  uint64_t merged;       // for so many points
  uint64_t rss_most;     // bytes, the highest of rss_anon + rss_file + rss_shmem of these
  uint64_t cgroup_most;  // bytes, of cgroup_current
  uint64_t live_most;    // fixed point, of live_bytes
  uint64_t check;        // seed: the point's time_ns
};
// What the process knew of the parts of its memory; see flags. Pages of 4 KiB, present unless they say otherwise.
struct HistoryParts {
  uint32_t python_arenas;  // that CPython's allocator has for small objects, present or not
  uint32_t python_small;   // live small objects in them, as it rounds them up
  uint32_t malloc_free;    // that malloc keeps, by its own word
  uint32_t malloc_heap;    // of what malloc takes its blocks from
  uint32_t arrow_reserve;  // of what Arrow's pools take their blocks from
  uint32_t own_private, own_file;  // of heapecho's tables; of its recording and of the library
  uint32_t stacks;         // of threads
};
struct HistoryPoint {
  HistoryCover covers[2];

  uint64_t time_ns;
  uint64_t realtime_ns;
  uint64_t boottime_ns;
  uint64_t rss_anon, rss_file, rss_shmem, swap;  // bytes, /proc/self/status
  uint64_t cgroup_current, cgroup_limit;         // bytes; limit 0: none
  uint64_t cgroup_oom_kills;
  uint64_t live_bytes, live_objects;             // fixed point, as in the header
  uint64_t allocated_bytes, freed_bytes;
  double live_variance;                          // bytes^2
  uint64_t domain_live[4];                       // fixed point bytes, by Domain
  HistoryParts parts;
  uint64_t samples;
  uint64_t dropped;        // samples lost, of every kind
  uint64_t own_ns, cpu_ns;
  uint64_t interval;       // bytes
  uint64_t unlisted_live;  // fixed point: live bytes of all stacks that are not listed
  uint64_t unlisted_most;  // fixed point: no stack that is not listed holds more
  uint64_t growth_from_ns; // the listed ones are those that hold most, and those that grew most since then
  uint32_t threads;        // of the process; 0: unknown
  uint32_t flags;          // HistoryFlags
  uint32_t stack_count;    // HistoryStack records behind this
  uint32_t file_private;   // pages, likewise: this process's own copies of files' pages, libraries' data
  uint32_t untouched;      // pages, likewise: not present, of live blocks
  uint32_t shared_live;    // pages, likewise: of shared memory that is live in domain mmap
  uint32_t inherited;      // pages, likewise: as they were at the fork, so others have them too
  uint32_t reserved0;
  uint64_t reserved[2];
  uint64_t check;          // HistoryCheck(): word for word, seed: the slot's index
};
static_assert(sizeof(HistoryParts) == 32, "a recording's layout: raise kVersion");
static_assert(sizeof(HistoryPoint) == 400, "a recording's layout: raise kVersion");
static_assert(offsetof(HistoryPoint, time_ns) == 96, "a recording's layout: raise kVersion");

// A 64-bit check over whole words, never zero. Not a defence against malice: it tells a record that is
// complete from one that a kill or an overwriting neighbour tore.
inline constexpr uint64_t CheckWords(const uint64_t* words, size_t count, uint64_t seed) {
  uint64_t h = seed ^ 0x9e3779b97f4a7c15;
  for (size_t i = 0; i < count; ++i) {
    h = (h ^ words[i]) * 0xff51afd7ed558ccd;
    h ^= h >> 32;
  }
  return h == 0 ? 1 : h;
}

// The check of a record whose last word is `check` (EventRecord, LiveRecord, ChildRecord, BlockHeader).
template <typename Record>
inline uint64_t CheckOf(const Record& record, uint64_t seed) {
  static_assert(sizeof(Record) % 8 == 0 && offsetof(Record, check) == sizeof(Record) - 8);
  uint64_t words[sizeof(Record) / 8];
  __builtin_memcpy(words, &record, sizeof(Record));
  return CheckWords(words, sizeof(Record) / 8 - 1, seed);
}

// The check of a point's moment and of the stacks behind it.
inline uint64_t HistoryCheck(const HistoryPoint& point, const HistoryStack* stacks, uint64_t slot) {
  const auto* bytes = reinterpret_cast<const char*>(&point);
  uint64_t check = slot, word;
  for (size_t at = offsetof(HistoryPoint, time_ns); at < offsetof(HistoryPoint, check); at += 8) {
    __builtin_memcpy(&word, bytes + at, 8);
    check = CheckWords(&word, 1, check);
  }
  for (uint32_t i = 0; i < point.stack_count; ++i) {
    uint64_t words[2];
    __builtin_memcpy(words, &stacks[i], sizeof words);
    check = CheckWords(words, 2, check);
  }
  return check;
}

inline constexpr uint64_t EventSeed(uint64_t block_sequence, uint64_t index) {
  return (block_sequence << 20) + index;
}

}  // namespace heapecho::wire

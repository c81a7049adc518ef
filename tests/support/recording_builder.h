// SPDX-License-Identifier: Apache-2.0
// Builds synthetic recordings as preload/wire/format.h says, for tests, goldens, fuzzing and
// benchmarks.
//
//   RecordingBuilder builder;
//   const uint16_t libc = builder.AddModule("/usr/lib/libc.so.6", "c0ffee", 0x7f0000000000,
//   0x100000); const uint32_t stack = builder.AddStack({{libc, 0x1000}, {libc, 0x2000}});  //
//   outermost frame first builder.Allocate({.stack = stack, .address = 0x5000, .size = 4096,
//   .time_ns = 2'000'000'000}); builder.Free(0x5000, 3'000'000'000); model =
//   reader::ParseRecording(builder.Build(), "name");
//
// Two levels. AddModule, AddStack, Allocate and Free behave as a process would: weights follow from
// size and interval, totals of stacks, process and peak are kept, live records and events are
// written. header(), node(), stack(), PutLive, PutEvent and the section functions write what they
// are told, right or wrong, for tests of the reader. Each order of calls gives one file, byte for
// byte: nothing is taken from the machine.
//
// Without further calls: a process with pid 100 and parent 1 on no host, not forked, still running,
// interval 512 KiB, begun at 1 s on the monotonic clock, 2025-01-01T00:00:00Z; times are those that
// the caller gives. Sections are just as large as their contents (at least one page) unless Reserve
// says more. Violated preconditions (an unknown stack, a second block at an address in use) abort
// the test. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "preload/wire/format.h"

namespace heapecho::testing {

class RecordingBuilder {
 public:
  struct Address {         // of one frame
    uint16_t module = 0;   // 0: absolute
    uint64_t address = 0;  // ELF virtual address made for looking up, below 2^47
    bool evaluates_python = false;
  };
  struct PythonFrame {
    uint32_t code = 0;         // from AddCode; may be anything
    uint32_t instruction = 0;  // byte offset
    bool group_entry = true;   // outermost frame of its evaluation
  };
  struct Sample {  // of a block that was sampled, so it has its weight whatever its size
    uint32_t stack = 0;
    uint64_t address = 0;
    uint64_t size = 0;
    uint64_t time_ns = 0;
    uint32_t thread = 100;
    uint32_t interval = 512 * 1024;
  };

  RecordingBuilder();

  // --- who and how: any word of the page may be set. Section table, file_size and static_check
  // are filled in by Build; Allocate, Inherit and Free keep the whole-process sums and
  // last_event_ns.
  wire::FileHeader& header() { return header_; }
  void AddIdentity(wire::IdentityKey key, std::string_view value);
  // Each argument is closed by a NUL, as the format wants it.
  void SetCommand(const std::vector<std::string>& arguments);
  void SetCounter(std::string_view name,
                  uint64_t value);  // at most 39 characters; a second call replaces

  // --- modules. Returns the new id. `build_id` is lower-case hex; ELF address 0 lies at `start`.
  uint16_t AddModule(std::string_view path, std::string_view build_id, uint64_t start,
                     uint64_t size, uint64_t loaded_ns = 1'000'000'000);
  void UnloadModule(uint16_t id, uint64_t time_ns);
  void PutModuleBytes(std::string_view bytes);  // appended to the log as they are

  // --- stacks. Frames are given outermost first and share prefixes; equal stacks of one domain are
  // one.
  uint32_t AddStack(const std::vector<Address>& frames, wire::Domain domain = wire::Domain::kMalloc,
                    uint16_t flags = 0, uint64_t first_seen_ns = 0);
  // The same with Python frames beside them, which take the places of the frames that evaluate
  // Python.
  uint32_t AddMixedStack(const std::vector<Address>& frames, const std::vector<PythonFrame>& python,
                         wire::Domain domain = wire::Domain::kMalloc);
  uint32_t AddPythonNode(uint32_t parent, PythonFrame frame);  // always a new node
  wire::NodeRecord& python_node(uint32_t index) { return python_nodes_[index]; }
  // Returns the new id. `line_table` is as CPython has it.
  uint32_t AddCode(std::string_view name, std::string_view file, int32_t first_line,
                   wire::LineTable table = wire::LineTable::kNone,
                   std::string_view line_table = "");
  void PutCodeBytes(std::string_view bytes);         // appended to the log as they are
  uint32_t AddNode(uint32_t parent, Address frame);  // always a new node; parent may be anything
  wire::NodeRecord& node(uint32_t index) { return nodes_[index]; }
  wire::StackRecord& stack(uint32_t index) { return stacks_[index]; }

  // --- threads that were sampled, as they are; no section without any.
  void PutThread(uint32_t id, uint32_t ordinal, uint64_t first_seen_ns, std::string_view name);

  // --- what happened. Times should not decrease. Blocks of the parent: Inherit, which writes no
  // event.
  void Allocate(const Sample& sample);
  void Inherit(const Sample& sample);
  void Free(uint64_t address, uint64_t time_ns, uint32_t thread = 100);

  // --- records as they are: the check is made right. PutLive returns the slot.
  uint64_t PutLive(wire::LiveRecord record);
  void PutEvent(wire::EventRecord record);
  void StartBlock(uint32_t writer);   // the next event goes to a new block
  void SetBlockSize(uint32_t bytes);  // before the first event; default 4096

  // --- the file's shape. Reserve: at least so many bytes for a section (a hole beyond its
  // contents).
  void Reserve(wire::SectionKind kind, uint64_t bytes);
  // A section of points of the history with room for `room` stacks each; checks and stack counts are
  // made right, covers that have no check too.
  struct HistoryEntry {
    wire::HistoryPoint point{};
    std::vector<wire::HistoryStack> stacks{};
  };
  void AddHistory(std::vector<HistoryEntry> entries, uint32_t room);
  // A section of a kind of one's own choice, written as it is.
  void AddSection(uint32_t kind, uint32_t record_size, std::string_view bytes, uint64_t committed);

  // The file. The builder may be used further and built again.
  std::vector<uint8_t> Build() const;
  // The same as a sparse file: pages of zeros are holes. False with errno when the file cannot be
  // written.
  [[nodiscard]] bool WriteFile(const std::string& path) const;

 private:
  struct Extra {
    uint32_t kind;
    uint32_t record_size;
    std::string bytes;
    uint64_t committed;
  };
  struct Placed {  // a section and its contents at build time
    wire::Section section;
    std::string bytes;
  };

  uint32_t AddStackOf(const std::vector<Address>& frames, const std::vector<PythonFrame>& python,
                      wire::Domain domain, uint16_t flags, uint64_t first_seen_ns);
  wire::LiveRecord AddLive(const Sample& sample, bool inherited);
  void KeepPeak(wire::StackRecord& stack, uint64_t added_bytes, uint64_t added_objects,
                double added_variance);
  std::vector<Placed> PlaceSections() const;
  wire::FileHeader FinishHeader(const std::vector<Placed>& placed) const;

  wire::FileHeader header_{};
  std::string identity_, modules_;
  std::vector<wire::CounterRecord> counters_;
  uint16_t module_count_ = 0;
  std::vector<wire::NodeRecord> nodes_;
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> node_index_;  // (parent, location)
  std::vector<wire::StackRecord> stacks_;
  std::vector<wire::NodeRecord> python_nodes_;
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> python_node_index_;
  std::string code_;
  uint32_t code_count_ = 0;
  std::map<std::tuple<uint32_t, uint32_t, uint8_t>, uint32_t> stack_index_;  // (leaves, domain)
  std::vector<wire::ThreadRecord> threads_;
  std::vector<wire::LiveRecord> live_;    // by slot; empty slots are zeros
  std::map<uint64_t, uint64_t> slot_of_;  // by address
  std::vector<uint64_t> free_slots_;      // taken again last first
  uint32_t block_size_ = 4096;
  std::string blocks_;
  uint64_t block_sequence_ = 0;
  uint64_t block_used_ = 0;  // events in the current block
  bool block_open_ = false;
  uint32_t block_writer_ = 0;
  std::map<wire::SectionKind, uint64_t> reserved_;
  std::vector<Extra> extra_;
};

}  // namespace heapecho::testing

// SPDX-License-Identifier: Apache-2.0
#include "tests/support/recording_builder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace heapecho::testing {
namespace {

using wire::SectionKind;

constexpr uint64_t kPage = 4096;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "RecordingBuilder: %s\n", what);
  std::abort();
}

uint64_t RoundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

template <typename Record>
std::string BytesOf(const Record& record) {
  return std::string(reinterpret_cast<const char*>(&record), sizeof record);
}

template <typename Record>
std::string BytesOf(const std::vector<Record>& records) {
  return std::string(reinterpret_cast<const char*>(records.data()),
                     records.size() * sizeof(Record));
}

uint64_t Fixed(double value) {
  return static_cast<uint64_t>(std::llround(value * static_cast<double>(wire::kFixedPointOne)));
}

uint64_t LocationOf(const RecordingBuilder::Address& frame) {
  return uint64_t{frame.module} << 48 | frame.address |
         (frame.evaluates_python ? wire::kEvaluationFrame : 0);
}

std::string FromHex(std::string_view hex) {
  Require(hex.size() % 2 == 0, "a build-id has an even number of digits");
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(
        static_cast<char>(std::strtol(std::string(hex.substr(i, 2)).c_str(), nullptr, 16)));
  }
  return bytes;
}

}  // namespace

RecordingBuilder::RecordingBuilder() {
  header_.magic = wire::kMagic;
  header_.version = wire::kVersion;
  header_.header_size = wire::kHeaderSize;
  for (uint8_t i = 0; i < sizeof header_.id; ++i) header_.id[i] = static_cast<uint8_t>(0x10 + i);
  for (uint8_t i = 0; i < sizeof header_.boot_id; ++i)
    header_.boot_id[i] = static_cast<uint8_t>(0xb0 + i);
  header_.pid = 100;
  header_.ppid = 1;
  header_.uid = 1000;
  header_.start_ticks = 90;
  header_.process_start_ns = 900'000'000;
  header_.begin_ns = 1'000'000'000;
  header_.begin_realtime_ns = 1'735'689'600'000'000'000;
  header_.begin_boottime_ns = 1'000'000'000;
  header_.interval_now = 512 * 1024;
  header_.last_event_ns = header_.begin_ns;
  header_.threads_seen = 1;
  header_.peak_mark = 1;
  nodes_.push_back({});
  python_nodes_.push_back({});
  stacks_.push_back({});
}

void RecordingBuilder::AddIdentity(wire::IdentityKey key, std::string_view value) {
  const wire::IdentityRecord record = {.length = static_cast<uint32_t>(value.size()),
                                       .key = static_cast<uint16_t>(key),
                                       .reserved = 0};
  identity_ += BytesOf(record);
  identity_ += value;
  identity_.resize(RoundUp(identity_.size(), 8));
}

void RecordingBuilder::SetCommand(const std::vector<std::string>& arguments) {
  std::string value;
  for (const std::string& argument : arguments) value.append(argument).push_back('\0');
  AddIdentity(wire::IdentityKey::kCommand, value);
}

void RecordingBuilder::SetCounter(std::string_view name, uint64_t value) {
  wire::CounterRecord record = {};
  Require(name.size() < sizeof record.name, "a counter's name is too long");
  for (wire::CounterRecord& known : counters_) {
    if (known.name == name) {
      known.value = value;
      return;
    }
  }
  std::memcpy(record.name, name.data(), name.size());
  record.value = value;
  counters_.push_back(record);
}

uint16_t RecordingBuilder::AddModule(std::string_view path, std::string_view build_id,
                                     uint64_t start, uint64_t size, uint64_t loaded_ns) {
  const std::string id_bytes = FromHex(build_id);
  const size_t length = RoundUp(sizeof(wire::ModuleRecord) + id_bytes.size() + path.size(), 8);
  const wire::ModuleRecord record = {.length = static_cast<uint32_t>(length),
                                     .kind = static_cast<uint16_t>(wire::ModuleRecordKind::kLoaded),
                                     .id = ++module_count_,
                                     .time_ns = loaded_ns,
                                     .bias = start,
                                     .start = start,
                                     .end = start + size,
                                     .build_id_length = static_cast<uint32_t>(id_bytes.size()),
                                     .path_length = static_cast<uint32_t>(path.size())};
  const size_t end = modules_.size() + length;
  modules_ += BytesOf(record);
  modules_ += id_bytes;
  modules_ += path;
  modules_.resize(end);
  return module_count_;
}

void RecordingBuilder::UnloadModule(uint16_t id, uint64_t time_ns) {
  wire::ModuleRecord record = {};
  record.length = sizeof record;
  record.kind = static_cast<uint16_t>(wire::ModuleRecordKind::kUnloaded);
  record.id = id;
  record.time_ns = time_ns;
  modules_ += BytesOf(record);
}

void RecordingBuilder::PutModuleBytes(std::string_view bytes) { modules_ += bytes; }

uint32_t RecordingBuilder::AddNode(uint32_t parent, Address frame) {
  const uint64_t location = LocationOf(frame);
  nodes_.push_back({.parent = parent,
                    .location_low = static_cast<uint32_t>(location),
                    .location_high = static_cast<uint32_t>(location >> 32)});
  return static_cast<uint32_t>(nodes_.size() - 1);
}

uint32_t RecordingBuilder::AddPythonNode(uint32_t parent, PythonFrame frame) {
  python_nodes_.push_back(
      {.parent = parent,
       .location_low = frame.code,
       .location_high = frame.instruction | (frame.group_entry ? wire::kGroupEntry : 0)});
  return static_cast<uint32_t>(python_nodes_.size() - 1);
}

uint32_t RecordingBuilder::AddCode(std::string_view name, std::string_view file, int32_t first_line,
                                   wire::LineTable table, std::string_view line_table) {
  const size_t length =
      RoundUp(sizeof(wire::CodeRecord) + name.size() + file.size() + line_table.size(), 8);
  const wire::CodeRecord record = {.length = static_cast<uint32_t>(length),
                                   .id = ++code_count_,
                                   .first_line = first_line,
                                   .table = static_cast<uint8_t>(table),
                                   .reserved = {},
                                   .name_length = static_cast<uint32_t>(name.size()),
                                   .file_length = static_cast<uint32_t>(file.size()),
                                   .table_length = static_cast<uint32_t>(line_table.size()),
                                   .reserved1 = 0};
  const size_t end = code_.size() + length;
  code_ += BytesOf(record);
  code_ += name;
  code_ += file;
  code_ += line_table;
  code_.resize(end);
  return code_count_;
}

void RecordingBuilder::PutCodeBytes(std::string_view bytes) { code_ += bytes; }

uint32_t RecordingBuilder::AddStack(const std::vector<Address>& frames, wire::Domain domain,
                                    uint16_t flags, uint64_t first_seen_ns) {
  return AddStackOf(frames, {}, domain, flags, first_seen_ns);
}

uint32_t RecordingBuilder::AddMixedStack(const std::vector<Address>& frames,
                                         const std::vector<PythonFrame>& python,
                                         wire::Domain domain) {
  return AddStackOf(frames, python, domain, 0, 0);
}

uint32_t RecordingBuilder::AddStackOf(const std::vector<Address>& frames,
                                      const std::vector<PythonFrame>& python, wire::Domain domain,
                                      uint16_t flags, uint64_t first_seen_ns) {
  uint32_t leaf = 0, python_leaf = 0;
  for (const Address& frame : frames) {
    const auto [at, added] = node_index_.try_emplace({leaf, LocationOf(frame)}, 0);
    if (added) at->second = AddNode(leaf, frame);
    leaf = at->second;
  }
  for (const PythonFrame& frame : python) {
    const uint64_t location =
        uint64_t{frame.instruction} << 32 | frame.code | (frame.group_entry ? 1ULL << 63 : 0);
    const auto [at, added] = python_node_index_.try_emplace({python_leaf, location}, 0);
    if (added) at->second = AddPythonNode(python_leaf, frame);
    python_leaf = at->second;
  }
  const auto domain_number = static_cast<uint8_t>(domain);
  const auto [at, added] = stack_index_.try_emplace({leaf, python_leaf, domain_number}, 0);
  if (added) {
    at->second = static_cast<uint32_t>(stacks_.size());
    wire::StackRecord record = {};
    record.native_leaf = leaf;
    record.python_leaf = python_leaf;
    record.flags = flags;
    record.domain = domain_number;
    record.first_seen_ns = first_seen_ns;
    stacks_.push_back(record);
  }
  return at->second;
}

wire::LiveRecord RecordingBuilder::AddLive(const Sample& sample, bool inherited) {
  Require(sample.stack < stacks_.size(), "no such stack");
  Require(sample.size > 0 && sample.interval > 0, "a sample has a size and an interval");
  Require(slot_of_.count(sample.address) == 0, "the address is in use");
  const double hit = -std::expm1(-static_cast<double>(sample.size) / sample.interval);
  const wire::LiveRecord live = {.address = sample.address,
                                 .size = sample.size,
                                 .time_ns = sample.time_ns,
                                 .weight = 1 / hit,
                                 .stack = sample.stack,
                                 .thread = sample.thread,
                                 .interval = sample.interval,
                                 .reserved = 0,
                                 .check = 0};
  if (free_slots_.empty()) {
    slot_of_[sample.address] = PutLive(live);
  } else {
    const uint64_t slot = free_slots_.back();
    free_slots_.pop_back();
    live_[slot] = live;
    live_[slot].check = wire::CheckOf(live, slot);
    slot_of_[sample.address] = slot;
  }

  wire::StackRecord& stack = stacks_[live.stack];
  const uint64_t bytes = Fixed(live.weight * static_cast<double>(live.size));
  const uint64_t objects = Fixed(live.weight);
  const double object_variance = live.weight * (live.weight - 1);
  const double variance =
      object_variance * static_cast<double>(live.size) * static_cast<double>(live.size);
  if (!inherited) {
    stack.allocated_bytes += bytes;
    stack.allocated_objects += objects;
    stack.allocated_variance += variance;
    ++stack.samples;
    header_.allocated_bytes += bytes;
    header_.allocated_objects += objects;
    header_.allocated_variance += variance;
    header_.allocated_object_variance += object_variance;
    ++header_.samples;
  }
  stack.live_bytes += bytes;
  stack.live_objects += objects;
  stack.live_variance += variance;
  header_.live_bytes += bytes;
  header_.live_objects += objects;
  header_.live_variance += variance;
  header_.live_object_variance += object_variance;
  if (header_.live_bytes > header_.peak_bytes) {
    // A new peak: what is live is what each stack held at it, so no stack has a mark of its own.
    ++header_.peak_mark;
    header_.peak_bytes = header_.live_bytes;
    header_.peak_objects = header_.live_objects;
    header_.peak_variance = header_.live_variance;
    header_.peak_object_variance = header_.live_object_variance;
    header_.peak_ns = sample.time_ns;
  } else {
    KeepPeak(stack, bytes, objects, variance);
  }
  return live;
}

// The stack's share of the peak, before its first change after it. What was added just now is taken
// off.
void RecordingBuilder::KeepPeak(wire::StackRecord& stack, uint64_t added_bytes,
                                uint64_t added_objects, double added_variance) {
  if (stack.peak_mark == header_.peak_mark) return;
  stack.peak_mark = header_.peak_mark;
  stack.peak_bytes = stack.live_bytes - added_bytes;
  stack.peak_objects = stack.live_objects - added_objects;
  stack.peak_variance = stack.live_variance - added_variance;
}

void RecordingBuilder::Inherit(const Sample& sample) { AddLive(sample, /*inherited=*/true); }

void RecordingBuilder::Allocate(const Sample& sample) {
  const wire::LiveRecord record = AddLive(sample, /*inherited=*/false);
  header_.last_event_ns = std::max(header_.last_event_ns, sample.time_ns);
  PutEvent({.time_ns = sample.time_ns,
            .address = sample.address,
            .size = sample.size,
            .allocated_ns = 0,
            .weight = record.weight,
            .stack = sample.stack,
            .thread = sample.thread,
            .interval = sample.interval,
            .kind = static_cast<uint8_t>(wire::EventKind::kAllocate),
            .domain = stacks_[sample.stack].domain,
            .reserved = 0,
            .check = 0});
}

void RecordingBuilder::Free(uint64_t address, uint64_t time_ns, uint32_t thread) {
  const auto at = slot_of_.find(address);
  Require(at != slot_of_.end(), "nothing is live at the address");
  const wire::LiveRecord live = live_[at->second];
  wire::StackRecord& stack = stacks_[live.stack];
  KeepPeak(stack, 0, 0, 0);
  const uint64_t bytes = Fixed(live.weight * static_cast<double>(live.size));
  const uint64_t objects = Fixed(live.weight);
  const double object_variance = live.weight * (live.weight - 1);
  const double variance =
      object_variance * static_cast<double>(live.size) * static_cast<double>(live.size);
  if (header_.forked_at_ns <= live.time_ns) {
    stack.freed_bytes += bytes;
    stack.freed_objects += objects;
    header_.freed_bytes += bytes;
    header_.freed_objects += objects;
  }
  stack.live_bytes -= bytes;
  stack.live_objects -= objects;
  stack.live_variance = stack.live_objects == 0 ? 0 : stack.live_variance - variance;
  header_.live_bytes -= bytes;
  header_.live_objects -= objects;
  header_.live_variance = header_.live_objects == 0 ? 0 : header_.live_variance - variance;
  header_.live_object_variance =
      header_.live_objects == 0 ? 0 : header_.live_object_variance - object_variance;
  header_.last_event_ns = std::max(header_.last_event_ns, time_ns);
  // As the process leaves a slot: no address, no check, the rest as it was.
  live_[at->second].address = 0;
  live_[at->second].check = 0;
  free_slots_.push_back(at->second);
  slot_of_.erase(at);
  PutEvent({.time_ns = time_ns,
            .address = address,
            .size = live.size,
            .allocated_ns = live.time_ns,
            .weight = live.weight,
            .stack = live.stack,
            .thread = thread,
            .interval = live.interval,
            .kind = static_cast<uint8_t>(wire::EventKind::kFree),
            .domain = stack.domain,
            .reserved = 0,
            .check = 0});
}

uint64_t RecordingBuilder::PutLive(wire::LiveRecord record) {
  const uint64_t slot = live_.size();
  record.check = wire::CheckOf(record, slot);
  live_.push_back(record);
  return slot;
}

void RecordingBuilder::SetBlockSize(uint32_t bytes) {
  Require(blocks_.empty(), "the size of blocks comes before the first event");
  Require(bytes >= sizeof(wire::BlockHeader) + sizeof(wire::EventRecord), "a block holds an event");
  block_size_ = bytes;
}

void RecordingBuilder::StartBlock(uint32_t writer) {
  block_writer_ = writer;
  block_open_ = false;
}

void RecordingBuilder::PutEvent(wire::EventRecord record) {
  const uint64_t per_block = (block_size_ - sizeof(wire::BlockHeader)) / sizeof record;
  if (!block_open_ || block_used_ == per_block) {
    block_open_ = true;
    block_used_ = 0;
    wire::BlockHeader block = {.sequence = ++block_sequence_,
                               .started_ns = record.time_ns,
                               .writer = block_writer_,
                               .reserved = 0,
                               .check = 0};
    block.check = wire::CheckOf(block, wire::kMagic);
    blocks_.resize((block_sequence_ - 1) * block_size_);
    blocks_ += BytesOf(block);
  }
  record.check = wire::CheckOf(record, wire::EventSeed(block_sequence_, block_used_));
  ++block_used_;
  blocks_ += BytesOf(record);
}

void RecordingBuilder::Reserve(SectionKind kind, uint64_t bytes) { reserved_[kind] = bytes; }

void RecordingBuilder::AddSection(uint32_t kind, uint32_t record_size, std::string_view bytes,
                                  uint64_t committed) {
  extra_.push_back({kind, record_size, std::string(bytes), committed});
}

void RecordingBuilder::AddHistory(std::vector<HistoryEntry> entries, uint32_t room) {
  std::string bytes;
  for (size_t slot = 0; slot < entries.size(); ++slot) {
    auto& [point, stacks] = entries[slot];
    Require(stacks.size() <= room, "more stacks than there is room for");
    point.stack_count = static_cast<uint32_t>(stacks.size());
    wire::HistoryCover& cover = point.covers[0];
    if (cover.merged == 0) {
      cover.from_ns = point.time_ns;
      cover.merged = 1;
    }
    if (cover.check == 0) cover.check = wire::CheckOf(cover, point.time_ns);
    point.check = wire::HistoryCheck(point, stacks.data(), slot);
    stacks.resize(room);
    bytes += BytesOf(point);
    for (const wire::HistoryStack& stack : stacks) bytes += BytesOf(stack);
  }
  AddSection(static_cast<uint32_t>(SectionKind::kHistory),
             static_cast<uint32_t>(sizeof(wire::HistoryPoint) + room * sizeof(wire::HistoryStack)),
             bytes, entries.size());
}

void RecordingBuilder::PutThread(uint32_t id, uint32_t ordinal, uint64_t first_seen_ns,
                                 std::string_view name) {
  wire::ThreadRecord& record = threads_.emplace_back();
  record = {.thread = id, .ordinal = ordinal, .first_seen_ns = first_seen_ns, .name = {}};
  name.copy(record.name, sizeof record.name);
}

std::vector<RecordingBuilder::Placed> RecordingBuilder::PlaceSections() const {
  std::vector<Placed> placed;
  uint64_t offset = wire::kHeaderSize;
  const auto add = [&](uint32_t kind, uint32_t record_size, std::string bytes, uint64_t committed) {
    uint64_t size = std::max<uint64_t>(1, bytes.size());
    if (const auto at = reserved_.find(static_cast<SectionKind>(kind)); at != reserved_.end()) {
      size = std::max(size, at->second);
    }
    size = RoundUp(size, kPage);
    placed.push_back({{.kind = kind,
                       .record_size = record_size,
                       .offset = offset,
                       .size = size,
                       .committed = committed},
                      std::move(bytes)});
    offset += size;
  };
  const auto number = [](SectionKind kind) { return static_cast<uint32_t>(kind); };
  const auto add_array = [&](SectionKind kind, const auto& records) {
    add(number(kind), sizeof records[0], BytesOf(records), records.size());
  };
  add(number(SectionKind::kIdentity), 8, identity_, identity_.size());
  add_array(SectionKind::kCounters, counters_);
  add(number(SectionKind::kModules), 8, modules_, modules_.size());
  add_array(SectionKind::kNativeNodes, nodes_);
  if (python_nodes_.size() > 1) add_array(SectionKind::kPythonNodes, python_nodes_);
  if (!code_.empty()) add(number(SectionKind::kPythonCode), 8, code_, code_.size());
  add_array(SectionKind::kStacks, stacks_);
  add_array(SectionKind::kLive, live_);
  if (!threads_.empty()) add_array(SectionKind::kThreads, threads_);
  std::string blocks = blocks_;
  blocks.resize(block_sequence_ * block_size_);
  add(number(SectionKind::kEvents), block_size_, std::move(blocks), block_sequence_);
  for (const Extra& extra : extra_)
    add(extra.kind, extra.record_size, extra.bytes, extra.committed);
  Require(placed.size() <= wire::kMaxSections, "too many sections");
  return placed;
}

wire::FileHeader RecordingBuilder::FinishHeader(const std::vector<Placed>& placed) const {
  wire::FileHeader header = header_;
  header.section_count = static_cast<uint32_t>(placed.size());
  for (size_t i = 0; i < placed.size(); ++i) header.sections[i] = placed[i].section;
  header.file_size = placed.back().section.offset + placed.back().section.size;
  if (header.budget == 0) header.budget = header.file_size;
  uint64_t words[offsetof(wire::FileHeader, static_check) / 8];
  std::memcpy(words, &header, sizeof words);
  header.static_check = wire::CheckWords(words, sizeof words / 8, wire::kMagic);
  return header;
}

std::vector<uint8_t> RecordingBuilder::Build() const {
  const std::vector<Placed> placed = PlaceSections();
  const wire::FileHeader header = FinishHeader(placed);
  std::vector<uint8_t> file(header.file_size);
  std::memcpy(file.data(), &header, sizeof header);
  for (const Placed& part : placed) {
    std::copy(part.bytes.begin(), part.bytes.end(),
              file.begin() + static_cast<std::ptrdiff_t>(part.section.offset));
  }
  return file;
}

bool RecordingBuilder::WriteFile(const std::string& path) const {
  const std::vector<Placed> placed = PlaceSections();
  const wire::FileHeader header = FinishHeader(placed);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool good = ftruncate(fd, static_cast<off_t>(header.file_size)) == 0;
  const std::string zeros(kPage, '\0');
  const auto write_pages = [&](uint64_t offset, std::string_view bytes) {
    for (size_t at = 0; good && at < bytes.size(); at += kPage) {
      const std::string_view page = bytes.substr(at, kPage);
      if (page == std::string_view(zeros).substr(0, page.size())) continue;
      good = pwrite(fd, page.data(), page.size(), static_cast<off_t>(offset + at)) ==
             static_cast<ssize_t>(page.size());
    }
  };
  write_pages(0, BytesOf(header));
  for (const Placed& part : placed) write_pages(part.section.offset, part.bytes);
  return close(fd) == 0 && good;
}

}  // namespace heapecho::testing

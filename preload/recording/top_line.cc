// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/top_line.h"

#include <string.h>

#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/recording/python_line.h"

namespace heapecho::recording {
namespace {

using base::Failed;
using base::Syscall;
using wire::SectionKind;

constexpr uint32_t kMostNodes = 1 << 18;
constexpr uint32_t kMostCodes = 1 << 16;
constexpr uint32_t kMostFrames = 4096;
constexpr uint64_t kWorthNaming = 10;  // percent

struct Code {
  uint64_t live;     // below it, as innermost of the application's own; fixed point
  uint64_t largest;  // of one stack
  uint32_t node;     // of that stack
  uint32_t offset;   // of its record in the log, + 1; 0: there is none
  bool is_own;
};

struct Tables {
  Code codes[kMostCodes];
  wire::NodeRecord nodes[kMostNodes];
  char text[64 << 10];
};

// A section whose bounds make sense; size 0: there is none.
struct Bytes {
  uint64_t offset, size;
};

Bytes FindSection(const wire::FileHeader& header, SectionKind kind, uint32_t record_size) {
  for (uint32_t i = 0; i < header.section_count && i < wire::kMaxSections; ++i) {
    const wire::Section& section = header.sections[i];
    if (section.kind != static_cast<uint32_t>(kind) || section.record_size != record_size ||
        section.offset > INT64_MAX || section.size > INT64_MAX - section.offset) {
      continue;
    }
    const uint64_t most = section.size / record_size;
    const bool is_log = kind == SectionKind::kPythonCode;
    const uint64_t committed = is_log ? section.committed / record_size : section.committed;
    return {section.offset, (committed < most ? committed : most) * record_size};
  }
  return {};
}

// How many of `bytes` could be read.
size_t ReadAt(int fd, void* to, size_t bytes, uint64_t offset) {
  size_t done = 0;
  while (done < bytes) {
    const long got =
        Syscall(SYS_pread64, fd, static_cast<char*>(to) + done, bytes - done, offset + done);
    if (Failed(got) || got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

bool IsWhole(const wire::CodeRecord& record, uint64_t bytes_left) {
  if (record.length < sizeof record || record.length % 8 != 0 || record.length > bytes_left ||
      record.id == 0) {
    return false;
  }
  const uint64_t tail = uint64_t{record.name_length} + record.file_length + record.table_length;
  const uint64_t room = record.length - sizeof record;
  return tail <= room && room - tail < 8;
}

// Where each code object's record is, and whether it is the application's own.
void ReadCodes(int fd, const Bytes& log, Tables& tables) {
  size_t in_text = 0;    // bytes of the log that text holds,
  uint64_t text_at = 0;  //   from here on
  const auto have = [&](uint64_t at, size_t bytes) -> const char* {
    if (bytes > sizeof tables.text) return nullptr;
    if (at < text_at || at + bytes > text_at + in_text) {
      const uint64_t left = log.size - at;
      text_at = at;
      in_text = ReadAt(fd, tables.text, left < sizeof tables.text ? left : sizeof tables.text,
                       log.offset + at);
    }
    return at + bytes <= text_at + in_text ? tables.text + (at - text_at) : nullptr;
  };
  for (uint64_t at = 0; at + sizeof(wire::CodeRecord) <= log.size;) {
    const char* text = have(at, sizeof(wire::CodeRecord));
    if (text == nullptr) return;
    wire::CodeRecord record;
    memcpy(&record, text, sizeof record);
    if (!IsWhole(record, log.size - at)) {
      at += 8;
      continue;
    }
    if (record.id < kMostCodes && tables.codes[record.id].offset == 0) {
      Code& code = tables.codes[record.id];
      code.offset = static_cast<uint32_t>(at) + 1;
      const size_t before = sizeof record + size_t{record.name_length};
      text = have(at, before + record.file_length);
      code.is_own = text != nullptr && IsOwnPythonFile(text + before, record.file_length);
    }
    at += record.length;
  }
}

// The innermost node of the application's own; 0: there is none.
uint32_t OwnNode(const Tables& tables, uint32_t nodes, uint32_t leaf) {
  for (uint32_t frames = 0; leaf != 0 && leaf < nodes && frames < kMostFrames; ++frames) {
    const uint32_t code = tables.nodes[leaf].location_low;
    if (code < kMostCodes && tables.codes[code].is_own) return leaf;
    leaf = tables.nodes[leaf].parent;
  }
  return 0;
}

// All that was live.
uint64_t AddStacks(int fd, const Bytes& stacks, uint32_t nodes, Tables& tables) {
  constexpr size_t kAtOnce =
      sizeof tables.text / sizeof(wire::StackRecord) * sizeof(wire::StackRecord);
  uint64_t total = 0;
  for (uint64_t at = 0; at < stacks.size;) {
    const uint64_t left = stacks.size - at;
    const size_t got = ReadAt(fd, tables.text, left < kAtOnce ? left : kAtOnce, stacks.offset + at);
    for (size_t i = 0; i + sizeof(wire::StackRecord) <= got; i += sizeof(wire::StackRecord)) {
      wire::StackRecord record;
      memcpy(&record, tables.text + i, sizeof record);
      // Below zero: caught between a free and its allocation.
      if (record.live_bytes == 0 || record.live_bytes >> 56 != 0) continue;
      total += record.live_bytes;
      uint32_t node = OwnNode(tables, nodes, record.python_leaf);
      if (node == 0) node = OwnNode(tables, nodes, record.behalf_leaf);
      if (node == 0) continue;
      Code& code = tables.codes[tables.nodes[node].location_low];
      code.live += record.live_bytes;
      if (record.live_bytes > code.largest) {
        code.largest = record.live_bytes;
        code.node = node;
      }
    }
    if (got < kAtOnce) break;
    at += got;
  }
  return total;
}

template <size_t kRoom>
void CopyPrintable(char (&to)[kRoom], const char* from, size_t length) {
  if (length > kRoom - 1) length = kRoom - 1;
  for (size_t i = 0; i < length; ++i) to[i] = from[i] > ' ' && from[i] != 0x7f ? from[i] : '?';
  to[length] = '\0';
}

// Its name, the last part of its file's, and its line.
bool Name(int fd, const Bytes& log, const Code& code, uint32_t instruction, Tables& tables,
          TopLine* top) {
  const uint64_t at = code.offset - 1;
  const uint64_t left = log.size - at;
  const size_t got = ReadAt(fd, tables.text, left < sizeof tables.text ? left : sizeof tables.text,
                            log.offset + at);
  wire::CodeRecord record;
  if (got < sizeof record) return false;
  memcpy(&record, tables.text, sizeof record);
  const size_t before_table = sizeof record + size_t{record.name_length} + record.file_length;
  if (!IsWhole(record, left) || before_table > got) return false;
  const char* const name = tables.text + sizeof record;
  const char* file = name + record.name_length;
  size_t length = record.file_length;
  if (const auto* slash = static_cast<const char*>(memrchr(file, '/', length))) {
    length -= static_cast<size_t>(slash + 1 - file);
    file = slash + 1;
  }
  CopyPrintable(top->function, name, record.name_length);
  CopyPrintable(top->file, file, length);
  if (before_table + record.table_length <= got) {
    top->line = LineOfInstruction(static_cast<wire::LineTable>(record.table),
                                  reinterpret_cast<const uint8_t*>(tables.text) + before_table,
                                  record.table_length, record.first_line, instruction);
  }
  return true;
}

}  // namespace

TopLine FindTopLine(int fd, const wire::FileHeader& header) {
  TopLine top = {};
  const Bytes nodes = FindSection(header, SectionKind::kPythonNodes, sizeof(wire::NodeRecord));
  const Bytes stacks = FindSection(header, SectionKind::kStacks, sizeof(wire::StackRecord));
  const Bytes log = FindSection(header, SectionKind::kPythonCode, 8);
  if (nodes.size == 0 || stacks.size == 0 || log.size == 0 || log.size >= UINT32_MAX) return top;
  auto* const tables =
      static_cast<Tables*>(base::MapPrivate(sizeof(Tables), "heapecho top line"));
  if (tables == nullptr) return top;
  const size_t most = nodes.size < sizeof tables->nodes ? nodes.size : sizeof tables->nodes;
  const auto node_count = static_cast<uint32_t>(ReadAt(fd, tables->nodes, most, nodes.offset) /
                                                sizeof(wire::NodeRecord));
  ReadCodes(fd, log, *tables);
  const uint64_t total = AddStacks(fd, stacks, node_count, *tables);
  uint32_t largest = 0;
  for (uint32_t id = 1; id < kMostCodes; ++id) {
    if (tables->codes[id].live > tables->codes[largest].live) largest = id;
  }
  const Code& code = tables->codes[largest];
  const uint64_t hundredth = total / 100;
  const uint64_t percent = hundredth == 0 ? 0 : (code.live + hundredth / 2) / hundredth;
  if (largest != 0 && percent >= kWorthNaming &&
      Name(fd, log, code, tables->nodes[code.node].location_high & wire::kInstructionMask, *tables,
           &top)) {
    top.percent = percent < 100 ? static_cast<uint32_t>(percent) : 100;
  }
  base::Unmap(tables, sizeof *tables);
  return top;
}

}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/python_code.h"

#include <sys/mman.h>

#include <cstring>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/syscalls.h"
#include "preload/stack/python_memory.h"

namespace heapecho::stack {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// An id has 16 bits in a slot; the same bits of the key choose the slot, so none of the key is lost.
constexpr uint64_t kIdBits = 0xffff;

// Longer names are cut; a longer line table is left out, and lines are then the code's first.
constexpr size_t kMostNameBytes = 1024;
constexpr size_t kMostFileBytes = 4096;

uint64_t Mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 29;
}

uint64_t LastBytes(const char* data, uint64_t bytes) {
  uint64_t word = 0;
  if (bytes >= sizeof word) {
    std::memcpy(&word, data + bytes - sizeof word, sizeof word);
  } else {
    for (uint64_t i = 0; i < bytes; ++i) word = word << 8 | static_cast<uint8_t>(data[i]);
  }
  return word;
}

// What tells one str from another that lies at its address: CPython's own hash if it was ever asked for.
uint64_t ContentOfString(const PythonLayout& layout, uintptr_t string) {
  if (!IsPointer(string)) return 0;
  const uint64_t hash = Load<uint64_t>(string + layout.string_hash);
  if (hash != ~uint64_t{0}) return hash;
  const PythonText text = TextOf(layout, string);
  if (text.data == nullptr) return 1;
  return Mix(text.length, LastBytes(text.data, text.length * text.width));
}

uint64_t ContentOfBytes(const PythonLayout& layout, uintptr_t bytes) {
  if (!IsPointer(bytes)) return 0;
  const uint64_t size = Load<uint64_t>(bytes + layout.bytes_size);
  if (size > uint64_t{1} << 32) return 1;
  const auto* const data = reinterpret_cast<const char*>(bytes + layout.bytes_data);
  return Mix(Mix(size, LastBytes(data, size < 8 ? size : 8)), LastBytes(data, size));
}

bool IsOfType(const PythonInterpreter& interpreter, uintptr_t object, uintptr_t type) {
  return IsPointer(object) && Load<uintptr_t>(object + interpreter.layout.object_type) == type;
}

size_t EncodeUtf8(uint32_t c, char* out) {
  const auto tail = [c](unsigned shift) { return static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    out[0] = static_cast<char>(c);
    return 1;
  }
  if (c < 0x800) {
    out[0] = static_cast<char>(0xc0 | c >> 6);
    out[1] = tail(0);
    return 2;
  }
  if (c < 0x10000) {
    out[0] = static_cast<char>(0xe0 | c >> 12);
    out[1] = tail(6);
    out[2] = tail(0);
    return 3;
  }
  out[0] = static_cast<char>(0xf0 | c >> 18);
  out[1] = tail(12);
  out[2] = tail(6);
  out[3] = tail(0);
  return 4;
}

}  // namespace

uint64_t KeyOfCode(const PythonLayout& layout, uintptr_t code) {
  const uintptr_t name = Load<uintptr_t>(code + layout.code_name);
  const uintptr_t file = Load<uintptr_t>(code + layout.code_file);
  const uintptr_t lines = Load<uintptr_t>(code + layout.code_lines);
  const uint64_t first_line = Load<uint32_t>(code + layout.code_first_line);
  const uint64_t version =
      layout.code_version != 0 ? Load<uint32_t>(code + layout.code_version) : 0;
  uint64_t key = Mix(0x243f6a8885a308d3, code);
  key = Mix(key, name);
  key = Mix(key, file);
  key = Mix(key, lines);
  key = Mix(key, first_line << 32 | version);
  // From 3.12 on a version is never given twice; when they have run out, it is 0.
  if (version == 0) {
    if (layout.code_qualified_name != 0) {
      const uintptr_t qualified = Load<uintptr_t>(code + layout.code_qualified_name);
      if (qualified != name) key = Mix(key, ContentOfString(layout, qualified));
    }
    key = Mix(key, ContentOfString(layout, name));
    key = Mix(key, ContentOfString(layout, file));
    key = Mix(key, ContentOfBytes(layout, lines));
  }
  key *= 0xbf58476d1ce4e5b9;
  return key ^ key >> 32;
}

PythonText TextOf(const PythonLayout& layout, uintptr_t string) {
  const uint32_t state = Load<uint32_t>(string + layout.string_state);
  const bool compact = (state >> 5 & 1) != 0;
  const bool ascii = (state >> 6 & 1) != 0;
  PythonText text = {.data = nullptr,
                     .length = Load<uint64_t>(string + layout.string_length),
                     .width = static_cast<uint8_t>(state >> 2 & 7)};
  if ((text.width != 1 && text.width != 2 && text.width != 4) || text.length >> 32 != 0) return text;
  if (compact) {
    text.data = reinterpret_cast<const char*>(
        string + (ascii ? layout.string_ascii : layout.string_compact));
  } else {  // an instance of a subclass: a pointer stands where the characters would
    const uintptr_t data = Load<uintptr_t>(string + layout.string_compact);
    if (data >= 4096) text.data = reinterpret_cast<const char*>(data);
  }
  return text;
}

size_t ToUtf8(const PythonText& text, char* out, size_t room) {
  constexpr uint32_t kReplacement = 0xfffd;
  if (text.data == nullptr) return 0;
  size_t used = 0;
  for (uint64_t i = 0; i < text.length; ++i) {
    uint32_t c = 0;
    std::memcpy(&c, text.data + i * text.width, text.width);
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = kReplacement;
    char encoded[4];
    const size_t bytes = EncodeUtf8(c, encoded);
    if (bytes > room - used) break;
    if (out != nullptr) std::memcpy(out + used, encoded, bytes);
    used += bytes;
  }
  return used;
}

bool CodeTable::Initialize(size_t bytes, Written written) {
  bytes = base::RoundUp(bytes, base::kPageSize);
  // A record is hardly ever shorter than 128 bytes; at most three quarters of the slots are used.
  uint32_t slots = 1024;
  while (slots / 4 * 3 < bytes / 128 && slots <= kIdBits) slots *= 2;
  auto* const memory = static_cast<char*>(
      base::MapPrivate(bytes + slots * sizeof(uint64_t), "heapecho python code"));
  if (memory == nullptr) return false;
  log_ = memory;
  slots_ = reinterpret_cast<std::atomic<uint64_t>*>(memory + bytes);
  slot_mask_ = slots - 1;
  capacity_ = bytes;
  written_ = written;
  return true;
}

uint32_t CodeTable::IdOf(const PythonInterpreter& interpreter, const PythonFrame& frame) {
  if (capacity_ == 0) return 0;
  const uint64_t key = frame.key & ~kIdBits;
  uint32_t mine = 0;
  for (uint64_t i = frame.key;; ++i) {
    std::atomic<uint64_t>& slot = slots_[i & slot_mask_];
    uint64_t found = slot.load(std::memory_order_acquire);  // pairs with the exchange below
    if (found == 0) {
      if (mine == 0) {
        mine = Append(interpreter, frame.code);
        if (mine == 0) return 0;
      }
      if (slot.compare_exchange_strong(found, key | mine, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        return mine;
      }
    }
    // Another thread's record of the same code may have been first; ours is then one that nobody names.
    if ((found & ~kIdBits) == key) return static_cast<uint32_t>(found & kIdBits);
  }
}

uint32_t CodeTable::Append(const PythonInterpreter& interpreter, uintptr_t code) {
  const PythonLayout& layout = interpreter.layout;
  const auto text_at = [&](uint16_t offset) {
    const uintptr_t string = Load<uintptr_t>(code + offset);
    return IsPointer(string) ? TextOf(layout, string) : PythonText{};
  };
  const PythonText name =
      text_at(layout.code_qualified_name != 0 ? layout.code_qualified_name : layout.code_name);
  const PythonText file = text_at(layout.code_file);
  const size_t name_bytes = ToUtf8(name, nullptr, kMostNameBytes);
  const size_t file_bytes = ToUtf8(file, nullptr, kMostFileBytes);
  const uintptr_t lines = Load<uintptr_t>(code + layout.code_lines);
  uint64_t table_bytes = 0;
  wire::LineTable table = wire::LineTable::kNone;
  if (IsOfType(interpreter, lines, interpreter.bytes_type)) {
    const uint64_t size = Load<uint64_t>(lines + layout.bytes_size);
    if (size <= capacity_ / 16) {  // an empty one is whole too: all is on the first line
      table_bytes = size;
      table = layout.line_table;
    }
  }
  const size_t length =
      base::RoundUp(sizeof(wire::CodeRecord) + name_bytes + file_bytes + table_bytes, 8);
  appending_.fetch_add(1, std::memory_order_seq_cst);
  size_t at = used_.load(kRelaxed);
  do {
    if (length > capacity_ - at || next_id_.load(kRelaxed) >= slot_mask_ / 4 * 3) {
      HEAPECHO_COUNT(python_code_full);
      appending_.fetch_sub(1, std::memory_order_seq_cst);
      return 0;
    }
  } while (!used_.compare_exchange_weak(at, at + length, std::memory_order_seq_cst));
  const uint32_t id = next_id_.fetch_add(1, kRelaxed) + 1;

  wire::CodeRecord record = {};
  record.length = static_cast<uint32_t>(length);
  record.id = id;
  record.first_line = Load<int32_t>(code + layout.code_first_line);
  record.table = static_cast<uint8_t>(table);
  record.name_length = static_cast<uint32_t>(name_bytes);
  record.file_length = static_cast<uint32_t>(file_bytes);
  record.table_length = static_cast<uint32_t>(table_bytes);
  char* const target = log_ + at;
  std::memcpy(target + 8, reinterpret_cast<const char*>(&record) + 8, sizeof record - 8);
  char* tail = target + sizeof record;
  tail += ToUtf8(name, tail, name_bytes);
  tail += ToUtf8(file, tail, file_bytes);
  std::memcpy(tail, reinterpret_cast<const char*>(lines + layout.bytes_data), table_bytes);
  // The length makes it a record: whoever copies the log (a recording that begins) skips what has none, and then
  // it is written_ that brings it there.
  uint64_t first;
  std::memcpy(&first, &record, sizeof first);
  __atomic_store_n(reinterpret_cast<uint64_t*>(target), first, __ATOMIC_SEQ_CST);
  written_(at, length);
  appending_.fetch_sub(1, std::memory_order_seq_cst);  // pairs with Release
  return id;
}

void CodeTable::Release() {
  constexpr size_t kLeast = 64 << 10;
  const size_t end = used_.load(std::memory_order_seq_cst) & ~(base::kPageSize - 1);
  size_t begin = released_.load(kRelaxed);
  // Who took room below `end` has written there, or is still counted.
  if (end < begin + kLeast || appending_.load(std::memory_order_seq_cst) != 0) return;
  if (!released_.compare_exchange_strong(begin, end, kRelaxed)) return;
  base::Syscall(SYS_madvise, log_ + begin, end - begin, MADV_DONTNEED);
}

void CodeTable::AfterFork(const char* copy) {
  appending_.store(0, kRelaxed);
  const size_t released = released_.exchange(0, kRelaxed);
  if (copy != nullptr) std::memcpy(log_, copy, released);
}

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// Code objects to small ids, and what a reader needs of each (names, file, line table) in a log of records.
//
// A code object lives shorter than a recording, and its address is soon another one's. So it is known by its address
// and everything cheap that would differ in another one that came to lie there: the addresses of its name, its
// file's name and its line table, its first line, and from 3.12 on the version that CPython numbers them by; where
// there is none, also what those strings hold. The record is written once, when a code object is first met in a
// sample; lines are found by the reader.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/stack/python_layout.h"
#include "preload/stack/python_walk.h"
#include "preload/wire/format.h"

namespace heapecho::stack {

// A number for the code object at `code`, which holds one: 64 bits of hash over its address and all of the above.
uint64_t KeyOfCode(const PythonLayout& layout, uintptr_t code);

// The characters of a str; no object is created for them.
struct PythonText {
  const char* data;  // null: not to be had
  uint64_t length;   // characters
  uint8_t width;     // bytes of one: 1 (Latin-1), 2 or 4
};
PythonText TextOf(const PythonLayout& layout, uintptr_t string);

// Writes as many whole characters as fit into `room` as UTF-8 and returns the bytes; with null `out` counts only.
// What has no such encoding (a lone surrogate) becomes U+FFFD.
size_t ToUtf8(const PythonText& text, char* out, size_t room);

// Lock-free, signal-safe, no allocation; bounded: what does not fit has id 0 and is counted. Private memory: 8 bytes a
// code object, and the records until they are in the recording; a forked child takes them back from its parent's.
class CodeTable {
 public:
  // Told of each new record, before anyone else can name its id: `bytes` of it, at `offset` of the log.
  using Written = void (*)(size_t offset, size_t bytes);

  // Room for `bytes` of records. False without memory; every id is then 0.
  bool Initialize(size_t bytes, Written written);

  // The id of the frame's code; makes its record if it has none. The frame must still be running.
  uint32_t IdOf(const PythonInterpreter& interpreter, const PythonFrame& frame);

  // The log as it stands: records, and zeros where one is being written (or never was: a thread that died over
  // it); each begins at a multiple of 8.
  const char* log() const { return log_; }
  size_t log_bytes() const { return used_.load(std::memory_order_acquire); }

  // Gives back the memory of the records so far: all of them have been copied, and every later one is by `written`.
  void Release();
  // How many bytes of the log have been given back.
  size_t released() const { return released_.load(std::memory_order_relaxed); }
  // In a forked child, before any other call: `copy` is as many bytes of the log; null where they cannot be had, and
  // what they named stays without a name.
  void AfterFork(const char* copy);

 private:
  uint32_t Append(const PythonInterpreter& interpreter, uintptr_t code);

  char* log_ = nullptr;
  size_t capacity_ = 0;
  std::atomic<uint64_t>* slots_ = nullptr;  // key, its low 16 bits replaced by the id; 0: empty
  uint32_t slot_mask_ = 0;
  Written written_ = nullptr;
  std::atomic<size_t> used_;
  std::atomic<size_t> released_;     // the log begins here; what was before is gone
  std::atomic<uint32_t> appending_;  // threads between taking room and having written it
  std::atomic<uint32_t> next_id_;  // ids given out
};

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// What operator new and delete do when memory is short, told as lines to `say`; for programs and
// for libraries that an interpreter opens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <new>

#include "tests/programs/truth.h"

namespace bad_alloc {

inline size_t TooMuch() {
  size_t size = PTRDIFF_MAX - 4096;
  __asm__ volatile("" : "+r"(size));
  return size;
}

inline int g_handler_calls = 0;
inline int g_handler_gives_up_after = 0;

struct HandlerGaveUp {};

inline void Handler() {
  ++g_handler_calls;
  if (g_handler_calls >= g_handler_gives_up_after) std::set_new_handler(nullptr);
}

inline void ThrowingHandler() { throw HandlerGaveUp(); }

struct alignas(256) Overaligned {
  char bytes[512];
};

// Returns true when `allocate` threw std::bad_alloc.
template <typename Allocate>
bool Throws(Allocate allocate) {
  try {
    truth::Escape(allocate());
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

// Each line says one outcome; `say` takes a finished line.
inline void Run(void (*say)(const char* line)) {
  char line[200];
  const auto report = [&](const char* what, long outcome) {
    std::snprintf(line, sizeof(line), "%s: %ld", what, outcome);
    say(line);
  };
  report("new throws", Throws([] { return ::operator new(TooMuch()); }));
  report("new[] throws", Throws([] { return ::operator new[](TooMuch()); }));
  report("aligned new throws",
         Throws([] { return ::operator new(TooMuch(), std::align_val_t(256)); }));
  report("array expression throws", Throws([] { return new int64_t[TooMuch() / 8]; }));
  report("nothrow new is null", ::operator new(TooMuch(), std::nothrow) == nullptr);
  report("nothrow new[] is null", ::operator new[](TooMuch(), std::nothrow) == nullptr);
  report("nothrow aligned new is null",
         ::operator new(TooMuch(), std::align_val_t(256), std::nothrow) == nullptr);

  for (int calls : {1, 3}) {
    g_handler_calls = 0;
    g_handler_gives_up_after = calls;
    std::set_new_handler(Handler);
    report("new with a handler throws", Throws([] { return ::operator new(TooMuch()); }));
    report("handler calls", g_handler_calls);
  }
  std::set_new_handler(ThrowingHandler);
  bool gave_up = false;
  try {
    truth::Escape(::operator new(TooMuch()));
  } catch (const HandlerGaveUp&) {
    gave_up = true;
  }
  std::set_new_handler(nullptr);
  report("what the handler throws arrives", gave_up);

  long wrong = 0;
  for (size_t i = 0; i < 5000; ++i) {
    const size_t size = 1 + i * 13 % 4000;
    void* plain = truth::Escape(::operator new(size));
    ::operator delete(plain, size);
    char* array = static_cast<char*>(truth::Escape(new char[size]));
    array[size - 1] = 1;
    delete[] array;
    ::operator delete[](truth::Escape(::operator new[](size)), size);
    auto* aligned = static_cast<Overaligned*>(truth::Escape(new Overaligned));
    wrong += reinterpret_cast<uintptr_t>(aligned) % 256 != 0;
    delete aligned;
    auto* aligned_array = static_cast<Overaligned*>(truth::Escape(new Overaligned[3]));
    wrong += reinterpret_cast<uintptr_t>(aligned_array) % 256 != 0;
    delete[] aligned_array;
    void* sized = truth::Escape(::operator new(size, std::align_val_t(64)));
    wrong += reinterpret_cast<uintptr_t>(sized) % 64 != 0;
    ::operator delete(sized, size, std::align_val_t(64));
    ::operator delete(truth::Escape(::operator new(size, std::nothrow)), std::nothrow);
    ::operator delete(nullptr);
  }
  report("wrong alignments", wrong);
}

}  // namespace bad_alloc

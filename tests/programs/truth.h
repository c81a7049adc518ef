// SPDX-License-Identifier: Apache-2.0
// How a test program says what it did: JSON lines on stdout, written without touching the heap, so
// that saying it changes nothing of what is said. Not thread-safe: speak when the threads are
// joined.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

// A function that reports recognise by its name in a stack: it stays a frame of its own.
#define SITE extern "C" __attribute__((noinline, used))

namespace truth {

// Makes the compiler believe that the pointer is used, so that no allocation is optimised away.
inline void* Escape(void* pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

// Writes one line at once; lines of several processes on one pipe do not mix (they are short).
__attribute__((format(printf, 1, 2))) inline void Say(const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int length = std::vsnprintf(line, sizeof(line) - 1, format, arguments);
  va_end(arguments);
  if (length < 0 || static_cast<size_t>(length) >= sizeof(line) - 1) std::_Exit(99);
  line[length++] = '\n';
  for (const char* at = line; length > 0;) {
    const ssize_t written = write(STDOUT_FILENO, at, static_cast<size_t>(length));
    if (written < 0) std::_Exit(98);
    at += written;
    length -= static_cast<int>(written);
  }
}

// Says that `site` made `allocated` blocks of `size` bytes of which `live` are still there.
inline void SaySite(const char* site, size_t size, uint64_t allocated, uint64_t live) {
  Say("{\"pid\": %d, \"site\": \"%s\", \"size\": %zu, \"allocated\": %lu, \"live\": %lu}", getpid(),
      site, size, static_cast<unsigned long>(allocated), static_cast<unsigned long>(live));
}

// Room for the program's own notes, straight from the kernel: never a block of the heap.
template <typename T>
T* Notes(size_t count) {
  void* memory = mmap(nullptr, count * sizeof(T) + 1, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::_Exit(97);
  return static_cast<T*>(memory);
}

// Ends the program with a line on stderr when a condition that the test relies on is not so.
inline void Require(bool condition, const char* what) {
  if (condition) return;
  dprintf(STDERR_FILENO, "not so: %s\n", what);
  std::_Exit(96);
}

// Numeric argument `index`, or `fallback` when it is not given.
inline uint64_t Argument(int argc, char** argv, int index, uint64_t fallback) {
  return index < argc ? std::strtoull(argv[index], nullptr, 10) : fallback;
}

}  // namespace truth

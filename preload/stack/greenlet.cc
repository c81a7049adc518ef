// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/greenlet.h"

#include <string.h>

#include <atomic>
#include <cstdint>

#include "preload/wire/format.h"

namespace heapecho::stack {
namespace {

constinit std::atomic<uintptr_t> g_start = 0;
constinit std::atomic<uintptr_t> g_end = 0;

// "…/greenlet/_greenlet.cpython-311-x86_64-linux-gnu.so"; before 2.0 "…/greenlet.cpython-…" or "…/greenlet/_greenlet…".
bool IsGreenlet(const char* path) {
  const char* const slash = strrchr(path, '/');
  const char* name = slash != nullptr ? slash + 1 : path;
  if (*name == '_') ++name;
  constexpr char kName[] = "greenlet.";
  return strncmp(name, kName, sizeof kName - 1) == 0;
}

}  // namespace

void NoteIfGreenlet(const Module& module) {
  if (module.unloaded) {
    if (g_start.load(std::memory_order_relaxed) == module.start) g_end.store(0, std::memory_order_relaxed);
    return;
  }
  if (!IsGreenlet(module.path)) return;
  g_end.store(0, std::memory_order_relaxed);
  g_start.store(module.start, std::memory_order_relaxed);
  g_end.store(module.end, std::memory_order_release);  // pairs with FramesOfGreenlet
}

size_t FramesOfGreenlet(const NativeFrame* frames, size_t count) {
  const uintptr_t end = g_end.load(std::memory_order_acquire);  // pairs with NoteIfGreenlet
  if (end == 0) return count;
  const uintptr_t start = g_start.load(std::memory_order_relaxed);
  const auto is_greenlets = [&](size_t i) { return frames[i].ip >= start && frames[i].ip < end; };
  // Further in, the module's frames are those of a switch to another greenlet.
  size_t i = count;
  while (i > 0 && (frames[i - 1].ip & wire::kEvaluationFrame) == 0) --i;
  if (i == 0) return count;
  while (i < count && !is_greenlets(i)) ++i;
  while (i < count && is_greenlets(i)) ++i;
  return i;
}

}  // namespace heapecho::stack

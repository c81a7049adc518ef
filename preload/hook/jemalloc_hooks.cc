// SPDX-License-Identifier: Apache-2.0
// jemalloc's own allocation calls, exported for programs that use them with a jemalloc below us.
//
// Programs ask whether jemalloc is there by weak references to these and to mallctl; mallctl is not exported,
// so without a jemalloc the answer stays no. Called all the same, they fail as out of memory would.
#include <stddef.h>

#include "preload/hook/export.h"
#include "preload/hook/next.h"
#include "preload/hook/observe.h"

using namespace heapecho::hook;

HEAPECHO_EXPORT void* mallocx(size_t size, int flags) {
  if (g_next.mallocx == nullptr) return nullptr;
  void* block = g_next.mallocx(size, flags);
  return Due(size) ? AllocatedSlow(block, size) : block;
}

HEAPECHO_EXPORT void* rallocx(void* block, size_t size, int flags) {
  if (g_next.rallocx == nullptr) return nullptr;
  Reallocation taken;
  taken.slot = heapecho::live::kNoSlot;
  if (MayBeSampled(block)) taken = BeginReallocation(block);
  void* moved = g_next.rallocx(block, size, flags);
  if (taken.slot != heapecho::live::kNoSlot) EndReallocation(taken, moved != nullptr);
  return Due(size) ? AllocatedSlow(moved, size) : moved;
}

HEAPECHO_EXPORT size_t xallocx(void* block, size_t size, size_t extra, int flags) {
  if (g_next.xallocx == nullptr) return 0;
  Reallocation taken;
  taken.slot = heapecho::live::kNoSlot;
  if (MayBeSampled(block)) taken = BeginReallocation(block);
  const size_t now = g_next.xallocx(block, size, extra, flags);
  if (now >= size) {
    if (taken.slot != heapecho::live::kNoSlot) EndReallocation(taken, true);
    if (Due(size)) AllocatedSlow(block, size);
  } else if (taken.slot != heapecho::live::kNoSlot) {
    EndReallocation(taken, false);  // it did not fit in place
  }
  return now;
}

HEAPECHO_EXPORT void dallocx(void* block, int flags) {
  if (g_next.dallocx == nullptr) return;
  if (MayBeSampled(block)) FreeingSlow(block);
  g_next.dallocx(block, flags);
}

HEAPECHO_EXPORT void sdallocx(void* block, size_t size, int flags) {
  if (g_next.sdallocx == nullptr) return;
  if (MayBeSampled(block)) FreeingSlow(block);
  g_next.sdallocx(block, size, flags);
}

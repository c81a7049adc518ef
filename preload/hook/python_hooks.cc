// SPDX-License-Identifier: Apache-2.0
// What CPython's object and memory domains are asked, counted and handed on to pymalloc.
//
// A request that pymalloc serves itself is counted here: the sampler would not see it otherwise. If the next sample
// falls into it, it is handed on as one that pymalloc leaves to malloc, and malloc's hook samples it (ObjectIsDue). A
// larger one comes to malloc's hook anyway, which needs to know only in whose name. So each byte is counted once, by one
// countdown, and a free goes its usual way (pools/python_allocator.h).
#include "preload/hook/python_hooks.h"

#include "preload/hook/export.h"
#include "preload/hook/mirror.h"
#include "preload/hook/observe.h"
#include "preload/hook/state.h"
#include "preload/pools/python_allocator.h"

namespace heapecho::hook {
namespace {

using pools::kLargestSmallObject;

// pymalloc has no context; its functions and ours are handed the same.
const pools::PythonAllocator& Next() { return g_state.python_domain.next(); }

// Whether pymalloc serves it. Zero bytes it hands on.
bool IsSmall(size_t size) { return size - 1 < kLargestSmallObject; }

// The size of a request that pymalloc hands on, and that no other is mistaken for.
constexpr size_t kHandedOn = kLargestSmallObject + 1;

template <auto kFunction, typename... Args>
__attribute__((noinline)) void* AskLarge(Args... args) {
  const Asking asking(wire::Domain::kPython);
  return (Next().*kFunction)(args...);
}

__attribute__((noinline)) void* SampledMalloc(void* context, size_t size) {
  if (!ObjectIsDue(size)) return Next().malloc(context, size);
  void* const block = Next().malloc(context, kHandedOn);
  ObjectWasAsked();
  return block;
}

__attribute__((noinline)) void* SampledCalloc(void* context, size_t count, size_t size) {
  if (!ObjectIsDue(count * size)) return Next().calloc(context, count, size);
  void* const block = Next().calloc(context, 1, kHandedOn);
  ObjectWasAsked();
  return block;
}

HEAPECHO_ONE_LINE void* Malloc(void* context, size_t size) {
  if (!IsSmall(size)) return AskLarge<&pools::PythonAllocator::malloc>(context, size);
  if (Due(size)) return SampledMalloc(context, size);
  return Next().malloc(context, size);
}

HEAPECHO_ONE_LINE void* Calloc(void* context, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || !IsSmall(bytes)) {
    return AskLarge<&pools::PythonAllocator::calloc>(context, count, size);
  }
  if (Due(bytes)) return SampledCalloc(context, count, size);
  return Next().calloc(context, count, size);
}

// The sample falls into a block that pymalloc has: over to malloc with it. Where that is refused it stays as it is.
__attribute__((noinline)) void* MoveSampled(void* context, void* block, size_t size) {
  if (!ObjectIsDue(size)) return block;
  void* const moved = Next().realloc(context, block, kHandedOn);
  ObjectWasAsked();
  return moved != nullptr ? moved : block;
}

// Whether pymalloc or malloc has a block is pymalloc's to know. If it is malloc's, its hook has counted the request
// and the countdown shows it; if not, it is counted now.
void* Reallocate(void* context, void* block, size_t size) {
  ThreadState& thread = t_state;
  const uint64_t countdown = thread.countdown;
  void* moved;
  {
    const Asking asking(wire::Domain::kPython);
    moved = Next().realloc(context, block, size);
  }
  if (moved == nullptr || !IsSmall(size) || thread.countdown != countdown) return moved;
  return Due(size) ? MoveSampled(context, moved, size) : moved;
}

void* AllocateArena(void* context, size_t size) {
  const Asking asking(wire::Domain::kPython);  // mmap's hook, too
  void* const arena = g_state.python_domain.next_arenas().allocate(context, size);
  if (arena != nullptr) g_state.python_arena_bytes.fetch_add(size, kRelaxed);
  return arena;
}

// Arenas that were taken before we stood in front are not in the count.
void FreeArena(void* context, void* arena, size_t size) {
  uint64_t bytes = g_state.python_arena_bytes.load(kRelaxed);
  while (!g_state.python_arena_bytes.compare_exchange_weak(bytes, bytes > size ? bytes - size : 0, kRelaxed)) {
  }
  g_state.python_domain.next_arenas().free(context, arena, size);
}

constexpr pools::PythonAllocator kOurs = {
    .context = nullptr, .malloc = Malloc, .calloc = Calloc, .realloc = Reallocate, .free = nullptr};
constexpr pools::PythonArenas kOurArenas = {
    .context = nullptr, .allocate = AllocateArena, .free = FreeArena};

}  // namespace

void HookPythonAtStart() {
  if (g_state.options.python == base::PythonUse::kOff) {
    g_state.python_domain.LeaveAlone("HEAPECHO_PYTHON=off");
    return;
  }
  if (g_state.options.python == base::PythonUse::kFrames) {
    g_state.python_domain.LeaveAlone("HEAPECHO_PYTHON=frames");
    return;
  }
  base::ExportingFile file;
  if (g_state.python.version() == nullptr) return;
  if (const char* const reason = g_state.python.WhyUnsuitable()) return g_state.python_domain.LeaveAlone(reason);
  if (g_state.python.File(&file)) g_state.python_domain.Hook(file, kOurs, kOurArenas);
}

void SettlePythonDomain() {
  if (g_state.python_domain.settled() || !g_state.python.HasGil()) return;
  base::ExportingFile file;
  if (!g_state.python.File(&file)) return;
  if (const char* const reason = g_state.python.WhyUnsuitable()) {
    g_state.python_domain.LeaveAlone(reason);
  } else {
    g_state.python_domain.Settle(file, kOurs, kOurArenas);
  }
  PythonChanged(wire::IdentityKey::kPythonDomain, g_state.python_domain.verdict());
}

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
// What is known of Arrow's tasks: FnOnce<void()> is one pointer to an object whose class has a virtual destructor and one
// virtual function, which runs it; in the vtable of the Itanium C++ ABI the destructor is two, the second of which deletes.
#include "preload/hook/tasks.h"

#include <atomic>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/hook/arrow.h"
#include "preload/hook/guard.h"
#include "preload/hook/lifetime.h"
#include "preload/hook/own_time.h"
#include "preload/hook/state.h"
#include "preload/pools/constant_word.h"

namespace heapecho::hook {
namespace {

enum Virtual : size_t { kDestroy = 0, kDelete = 1, kRun = 2, kVirtuals = 3 };

// Stands in for the object that it wraps.
struct Task {
  const uintptr_t* virtuals;
  void* inner;      // the object that was handed over
  uint32_t behalf;  // of BehalfOf()
  uint32_t before;  // while running: what the thread ran before
  bool running;
};

constinit Task* g_tasks = nullptr;
constinit std::atomic<uint64_t> g_taken[kMostTasks / 64] = {};  // a bit each
constinit std::atomic<uint64_t> g_second = 0;                   // second << 32 | tasks in it

void Call(void* object, Virtual which) {
  const auto* const virtuals = *static_cast<const uintptr_t* const*>(object);
  reinterpret_cast<void (*)(void*)>(virtuals[which])(object);
}

uint32_t IndexOf(const Task* task) { return static_cast<uint32_t>(task - g_tasks); }

void Ended(Task* task) {
  if (!task->running) return;
  task->running = false;
  t_state.task = task->before;
}

void Run(Task* task) {
  task->before = t_state.task;
  task->running = true;
  t_state.task = IndexOf(task) + 1;
  Call(task->inner, kRun);
  Ended(task);
}

// Also how a task ends that threw, in the thread that it threw in: nothing of ours catches.
void Delete(Task* task) {
  Ended(task);
  Call(task->inner, kDelete);
  const uint32_t index = IndexOf(task);
  g_taken[index / 64].fetch_and(~(uint64_t{1} << index % 64), std::memory_order_release);
}

// Nobody destroys without deleting what he has a unique_ptr to.
void Destroy(Task*) {}

struct Vtable {
  uintptr_t to_top, type;
  void (*virtuals[kVirtuals])(Task*);
};
constexpr Vtable kVtable = {.to_top = 0, .type = 0, .virtuals = {Destroy, Delete, Run}};

Task* TakeTask(uint32_t hint) {
  constexpr uint32_t kWords = kMostTasks / 64;
  for (uint32_t i = 0; i < kWords; ++i) {
    std::atomic<uint64_t>& word = g_taken[(hint + i) % kWords];
    uint64_t taken = word.load(kRelaxed);
    while (taken != ~uint64_t{0}) {
      const int bit = __builtin_ctzll(~taken);
      if (word.compare_exchange_weak(taken, taken | uint64_t{1} << bit, std::memory_order_acquire)) {
        return &g_tasks[(hint + i) % kWords * 64 + static_cast<uint32_t>(bit)];
      }
    }
  }
  return nullptr;
}

bool TooManyThisSecond() {
  const uint64_t second = Now() / kSecond << 32;
  uint64_t seen = g_second.load(kRelaxed);
  if (seen >> 32 << 32 != second) {
    g_second.store(second | 1, kRelaxed);  // two threads that meet here count as one
    return false;
  }
  return (g_second.fetch_add(1, kRelaxed) & UINT32_MAX) >= kMostTasksPerSecond;
}

// The stack on whose behalf a task is that this thread hands over; 0: nobody's. `known` is false where it could not be
// had.
uint32_t StackOfSubmitter(const stack::Interner::Use& use, const ThreadState& thread, bool* known) {
  Scratch* const scratch = g_state.scratch.Take();
  *known = scratch != nullptr;
  if (scratch == nullptr) return 0;
  const stack::PythonWalk walk = g_state.python.WalkAlone(scratch->python);
  uint32_t leaf = BehalfOf(thread);
  if (walk.count != 0) {
    leaf = g_state.interner.InternPython(use, scratch->python, walk.count, CodeIdOf);
    *known = leaf != 0;
  }
  g_state.scratch.GiveBack(scratch);
  return leaf;
}

void Wrap(void** task) {
  ThreadState& thread = t_state;
  if (*task == nullptr || thread.guarded) return;
  Guard guard(thread);
  if (!IsOurs()) return;
  if (TooManyThisSecond()) {
    HEAPECHO_COUNT(tasks_not_followed);
    return;
  }
  const OwnTime own_time(thread);
  stack::Interner::Use use(g_state.interner);
  bool known;
  const uint32_t behalf = StackOfSubmitter(use, thread, &known);
  Task* const wrapper = behalf != 0 ? TakeTask(thread.ordinal) : nullptr;
  if (wrapper != nullptr) {
    *wrapper = {.virtuals = reinterpret_cast<const uintptr_t*>(kVtable.virtuals),
                .inner = *task,
                .behalf = behalf,
                .before = 0,
                .running = false};
    *task = wrapper;
  } else if (behalf != 0 || !known) {
    HEAPECHO_COUNT(tasks_not_followed);
  }
}

}  // namespace

extern "C" {
// What the hooks of each bank jump on to, and what they call before.
__attribute__((visibility("hidden"), used)) uintptr_t heapecho_spawns[kMostArrows] = {};
__attribute__((visibility("hidden"), used)) void HeapechoWrapTask(void** task) { Wrap(task); }
}

namespace {

// In assembly, so that all arguments pass on, those on the stack too, whatever a version has among them. Behind the place
// for the result and the object, the task is the first that goes by reference.
#define SPAWN_HOOK(bank)                                       \
  __attribute__((naked)) void Spawn##bank() {                  \
    __asm__(                                                   \
        "pushq %rdi\n\t.cfi_adjust_cfa_offset 8\n\t"           \
        "pushq %rsi\n\t.cfi_adjust_cfa_offset 8\n\t"           \
        "pushq %rdx\n\t.cfi_adjust_cfa_offset 8\n\t"           \
        "pushq %rcx\n\t.cfi_adjust_cfa_offset 8\n\t"           \
        "pushq %r8\n\t.cfi_adjust_cfa_offset 8\n\t"            \
        "pushq %r9\n\t.cfi_adjust_cfa_offset 8\n\t"            \
        "subq $8, %rsp\n\t.cfi_adjust_cfa_offset 8\n\t"        \
        "movq %rdx, %rdi\n\t"                                  \
        "call HeapechoWrapTask\n\t"                            \
        "addq $8, %rsp\n\t.cfi_adjust_cfa_offset -8\n\t"       \
        "popq %r9\n\t.cfi_adjust_cfa_offset -8\n\t"            \
        "popq %r8\n\t.cfi_adjust_cfa_offset -8\n\t"            \
        "popq %rcx\n\t.cfi_adjust_cfa_offset -8\n\t"           \
        "popq %rdx\n\t.cfi_adjust_cfa_offset -8\n\t"           \
        "popq %rsi\n\t.cfi_adjust_cfa_offset -8\n\t"           \
        "popq %rdi\n\t.cfi_adjust_cfa_offset -8\n\t"           \
        "jmp *heapecho_spawns+8*" #bank "(%rip)");             \
  }
SPAWN_HOOK(0)
SPAWN_HOOK(1)
SPAWN_HOOK(2)
SPAWN_HOOK(3)
#undef SPAWN_HOOK
constexpr void (*kSpawnHooks[])() = {Spawn0, Spawn1, Spawn2, Spawn3};
static_assert(sizeof kSpawnHooks / sizeof kSpawnHooks[0] == kMostArrows, "a hook for each bank");

}  // namespace

bool HookArrowTasks(size_t bank, const pools::ArrowFile& file) {
  if (g_tasks == nullptr) {
    g_tasks = static_cast<Task*>(base::MapPrivate(kMostTasks * sizeof(Task), "heapecho tasks"));
    if (g_tasks == nullptr) return false;
  }
  heapecho_spawns[bank] = *file.spawn;
  return pools::ReplaceConstantWord(file.spawn, reinterpret_cast<uintptr_t>(kSpawnHooks[bank]));
}

uint32_t BehalfOf(const ThreadState& thread) {
  return thread.task != 0 ? g_tasks[thread.task - 1].behalf : 0;
}

void CountHeldByTasks(uint32_t* references) {
  for (uint32_t i = 0; g_tasks != nullptr && i < kMostTasks; ++i) {
    if ((g_taken[i / 64].load(kRelaxed) >> i % 64 & 1) != 0) ++references[g_tasks[i].behalf];
  }
}

}  // namespace heapecho::hook

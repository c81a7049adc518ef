// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/python_allocator.h"

#include <string.h>

#include "preload/base/memory_probe.h"

namespace heapecho::pools {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// PyMemAllocatorDomain of the C API.
enum class ApiDomain : int { kRaw = 0, kMemory = 1, kObject = 2 };

// How far into the context of functions in front of ours the ones that they call are looked for: the interpreter's
// own (tracemalloc, debug) keep them first.
constexpr size_t kContextWords = 8;

}  // namespace

struct PythonDomain::Functions {
  void (*get)(ApiDomain, PythonAllocator*);
  void (*set)(ApiDomain, const PythonAllocator*);
  void (*get_arenas)(PythonArenas*);
  void (*set_arenas)(const PythonArenas*);
};

bool PythonDomain::Find(const base::ExportingFile& file, Functions* functions) {
  const auto find = [&file](const char* name, auto* function) {
    *function = reinterpret_cast<std::remove_reference_t<decltype(*function)>>(
        base::FindDefinition(file, name, base::SymbolType::kFunction).address);
    return *function != nullptr;
  };
  return find("PyMem_GetAllocator", &functions->get) && find("PyMem_SetAllocator", &functions->set) &&
         find("PyObject_GetArenaAllocator", &functions->get_arenas) &&
         find("PyObject_SetArenaAllocator", &functions->set_arenas);
}

// pymalloc has no context and serves both domains by the same functions; mimalloc has two sets, and malloc is what
// the raw domain has. Debug functions, tracemalloc's and other tools' have a context.
const char* PythonDomain::WhyNotPymalloc(const PythonAllocator& raw, const PythonAllocator& memory,
                                         const PythonAllocator& object) {
  if (object.malloc == raw.malloc) return "its objects come from malloc";
  if (object.context != nullptr || memory.context != nullptr) {
    return "debug functions or another tool's are in front of its allocator";
  }
  if (!(object == memory)) return "its objects do not come from pymalloc";
  return nullptr;
}

void PythonDomain::LeaveAlone(const char* reason) {
  strcpy(verdict_, "not hooked: ");
  strncat(verdict_, reason, sizeof verdict_ - strlen(verdict_) - 1);
  state_.store(kLeftAlone, std::memory_order_release);  // pairs with verdict()
  settled_.store(true, kRelaxed);
}

const char* PythonDomain::verdict() const {
  switch (state_.load(std::memory_order_acquire)) {  // pairs with LeaveAlone and PutInFront
    case kHooked: return "hooked";
    case kLeftAlone: return verdict_;
    default: return nullptr;
  }
}

void PythonDomain::PutInFront(const Functions& functions, const PythonAllocator& ours,
                              const PythonArenas& our_arenas) {
  functions.get(ApiDomain::kObject, &next_);
  PythonAllocator allocator = ours;
  allocator.context = next_.context;
  allocator.free = next_.free;
  if (!counts_arenas_) {
    functions.get_arenas(&next_arenas_);
    PythonArenas arenas = our_arenas;
    arenas.context = next_arenas_.context;
    functions.set_arenas(&arenas);
    counts_arenas_ = true;
  }
  functions.set(ApiDomain::kMemory, &allocator);
  functions.set(ApiDomain::kObject, &allocator);
  state_.store(kHooked, std::memory_order_release);  // pairs with verdict()
}

void PythonDomain::Hook(const base::ExportingFile& file, const PythonAllocator& ours,
                        const PythonArenas& our_arenas) {
  Functions functions;
  if (!Find(file, &functions)) return LeaveAlone("it does not export the functions that set its allocator");
  PythonAllocator raw, memory, object;
  functions.get(ApiDomain::kRaw, &raw);
  functions.get(ApiDomain::kMemory, &memory);
  functions.get(ApiDomain::kObject, &object);
  if (const char* const reason = WhyNotPymalloc(raw, memory, object)) return LeaveAlone(reason);
  PutInFront(functions, ours, our_arenas);
}

void PythonDomain::Settle(const base::ExportingFile& file, const PythonAllocator& ours,
                          const PythonArenas& our_arenas) {
  if (settled()) return;
  settled_.store(true, kRelaxed);
  if (state_.load(kRelaxed) != kHooked) return Hook(file, ours, our_arenas);
  Functions functions;
  Find(file, &functions);
  PythonAllocator raw, memory, object;
  functions.get(ApiDomain::kRaw, &raw);
  functions.get(ApiDomain::kMemory, &memory);
  functions.get(ApiDomain::kObject, &object);
  if (object.malloc == ours.malloc && memory.malloc == ours.malloc) return;
  // Who stands in front may stand in front of ours.
  const auto context = reinterpret_cast<uintptr_t>(object.context);
  for (uintptr_t word = context; word < context + kContextWords * sizeof word; word += sizeof word) {
    if (context % sizeof word != 0 || !base::Readable(word)) break;
    if (*reinterpret_cast<const uintptr_t*>(word) == reinterpret_cast<uintptr_t>(ours.malloc)) return;
  }
  if (const char* const reason = WhyNotPymalloc(raw, memory, object)) return LeaveAlone(reason);
  if (!(object == next_)) return LeaveAlone("its objects do not come from pymalloc");
  PutInFront(functions, ours, our_arenas);
}

}  // namespace heapecho::pools

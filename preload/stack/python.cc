// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/python.h"

#include <link.h>
#include <string.h>

#include "preload/stack/elf_image.h"
#include "preload/base/memory_probe.h"
#include "preload/stack/object_finder.h"
#include "preload/stack/python_memory.h"

namespace heapecho::stack {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// A sample may come at a moment when a thread's state is being made; one that never proves is no Python that we know.
constexpr uint32_t kMostFailedProofs = 16;

const char* ReasonOf(PythonProof proof) {
  switch (proof) {
    case PythonProof::kOtherThread: return "the state of a thread does not name the thread";
    case PythonProof::kNoFrames: return "the frames of a thread do not lead to code";
    case PythonProof::kNoCode: return "the code of a frame has no names";
    case PythonProof::kProven:
    case PythonProof::kNothingRuns: break;
  }
  return "";
}

}  // namespace

void Python::Initialize(bool wanted, Changed changed) {
  wanted_ = wanted;
  changed_ = changed;
  const link_map* const executable = _r_debug.r_map;
  if (executable == nullptr) return;
  executable_ = base::FileOf(*executable);
  for (const link_map* map = executable; map != nullptr && phase_.load(kRelaxed) == kNone; map = map->l_next) {
    MappedObject object;
    if (FindObject(reinterpret_cast<uintptr_t>(map->l_ld), &object)) {
      Look(base::FileOf(*map), object.start, object.end);
    }
  }
}

__attribute__((noinline)) void Python::LookAtNewModules() {
  for (uint32_t id = looked_at_.load(kRelaxed) + 1; phase_.load(kRelaxed) == kNone; ++id) {
    Module module;
    if (!ModuleOf(id, &module)) return;
    looked_at_.store(id, kRelaxed);
    ElfImage image;
    if (module.unloaded || !ReadElfImage(module.start, module.end - module.start, &image) ||
        image.dynamic == 0) {
      continue;
    }
    Look({.bias = module.bias, .dynamic = reinterpret_cast<const ElfW(Dyn)*>(image.dynamic)},
         module.start, module.end);
  }
}

void Python::Look(const base::ExportingFile& file, uintptr_t start, uintptr_t end) {
  uint32_t none = kNone;
  if (!phase_.compare_exchange_strong(none, kLooking, std::memory_order_acquire)) return;
  const char* reason = nullptr;
  const PythonKind kind = RecognisePython(file, executable_, start, end, &interpreter_, &reason);
  if (kind == PythonKind::kNone) {
    phase_.store(kNone, std::memory_order_release);
    return;
  }
  MappedObject object;
  if (FindObject(start, &object)) identity_ = object.identity;
  file_ = file;
  seen_.store(ModuleGeneration(), kRelaxed);
  if (!decided_.load(kRelaxed)) changed_(wire::IdentityKey::kPython, interpreter_.version);
  if (kind == PythonKind::kUnsuitable) {
    unsuitable_ = reason;
    Decide(kNativeOnly, reason);
  } else if (!wanted_) {
    Decide(kNativeOnly, "not wanted (HEAPECHO_PYTHON)");
  } else {
    phase_.store(kFound, std::memory_order_release);  // pairs with Walk's load
  }
}

void Python::Decide(Phase phase, const char* reason) {
  const bool first = !decided_.exchange(true, std::memory_order_acq_rel);
  if (first) {
    strcpy(verdict_, reason == nullptr ? "full" : "native-only: ");
    if (reason != nullptr) strncat(verdict_, reason, sizeof verdict_ - strlen(verdict_) - 1);
  }
  phase_.store(phase, std::memory_order_release);  // pairs with verdict()
  if (first) changed_(wire::IdentityKey::kPythonWalk, verdict_);
}

const char* Python::version() const {
  return phase_.load(std::memory_order_acquire) >= kFound ? interpreter_.version : nullptr;
}

bool Python::File(base::ExportingFile* file) const {
  *file = file_;
  return phase_.load(std::memory_order_acquire) >= kFound;
}

bool Python::HasGil() const {
  if (phase_.load(std::memory_order_acquire) < kFound) return false;
  if (interpreter_.thread_state == nullptr || interpreter_.current_state == nullptr) return false;
  const void* const state = interpreter_.thread_state();
  return state != nullptr && state == interpreter_.current_state();
}

const char* Python::verdict() const {
  return phase_.load(std::memory_order_acquire) >= kWalking ? verdict_ : nullptr;
}

// After a dlclose: the file may be gone, and another one in its place.
bool Python::StillThere() {
  const uint64_t generation = ModuleGeneration();
  if (seen_.load(kRelaxed) == generation) return true;
  MappedObject object;
  if (!FindObject(interpreter_.start, &object) || object.start != interpreter_.start ||
      object.end != interpreter_.end || object.identity != identity_) {
    uint32_t phase = phase_.load(kRelaxed);
    if (phase == kFound || phase == kWalking) phase_.compare_exchange_strong(phase, kNone, kRelaxed);
    return false;
  }
  seen_.store(generation, kRelaxed);
  return true;
}

void Python::Prove(uintptr_t thread_state, PythonFrame* scratch) {
  const PythonProof proof = ProvePython(interpreter_, thread_state, scratch, kMaxPythonFrames);
  if (proof == PythonProof::kNothingRuns) return;
  if (proof == PythonProof::kProven) {
    uint32_t found = kFound;
    if (phase_.load(kRelaxed) == found) Decide(kWalking, nullptr);
  } else if (failed_proofs_.fetch_add(1, kRelaxed) + 1 == kMostFailedProofs) {
    Decide(kNativeOnly, ReasonOf(proof));
  }
}

void Python::AfterFork() {
  going_.store(0, kRelaxed);
  uint32_t looking = kLooking;
  phase_.compare_exchange_strong(looking, kNone, kRelaxed);
}

// The state whose frames the calling thread runs; 0: none.
uintptr_t Python::ThreadState() const {
  const uint16_t id = interpreter_.layout.thread_id;
  const auto state = reinterpret_cast<uintptr_t>(interpreter_.thread_state());
  if (!IsPointer(state) || Load<uintptr_t>(state + id) != ThisThreadId()) return 0;
  if (interpreter_.layout.chain == PythonChain::kShims) return state;
  // With the GIL, it may be another interpreter's. Without, it is another thread's, which may end and free it while
  // we look; but what it says of a thread is then not us.
  const auto current = reinterpret_cast<uintptr_t>(interpreter_.current_state());
  if (current == state || !IsPointer(current) || !base::Readable(current + id) ||
      Load<uintptr_t>(current + id) != ThisThreadId()) {
    return state;
  }
  return current;
}

PythonWalk Python::Walk(uintptr_t sp, NativeFrame* native, const NativeWalk& native_walk,
                        PythonFrame* python) {
  const PythonWalk walk = WalkAlone(python);
  if (walk.count != 0) MergeFrames(interpreter_, sp, native, native_walk.count, python, walk.count);
  return walk;
}

PythonWalk Python::WalkAlone(PythonFrame* python) {
  uint32_t phase = phase_.load(std::memory_order_acquire);  // pairs with Look and Decide
  if (phase == kNone && looked_at_.load(kRelaxed) != ModulesMet()) {
    LookAtNewModules();
    phase = phase_.load(std::memory_order_acquire);
  }
  if (phase != kFound && phase != kWalking) return {};
  if (going_.load(std::memory_order_seq_cst) != 0 || !StillThere()) return {};
  if (interpreter_.is_finalizing() != 0) return {};
  if (phase == kFound) {
    const auto state = reinterpret_cast<uintptr_t>(interpreter_.thread_state());
    if (IsPointer(state)) Prove(state, python);
    phase = phase_.load(std::memory_order_acquire);
    if (phase != kWalking) return {};
  }
  const uintptr_t state = ThreadState();
  if (state == 0) return {};
  return WalkPython(interpreter_, state, python, kMaxPythonFrames);
}

}  // namespace heapecho::stack

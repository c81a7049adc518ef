// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/modules.h"

#include <time.h>

#include <cstring>

#include "preload/base/counters.h"
#include "preload/base/memory.h"
#include "preload/base/memory_probe.h"
#include "preload/stack/elf_image.h"
#include "preload/stack/greenlet.h"
#include "preload/stack/object_finder.h"
#include "preload/stack/path_arena.h"

namespace heapecho::stack {

constinit std::atomic<uint64_t> g_module_generation{1};

namespace {

// Everything but the atomics is written before the entry is published and constant from then on.
struct Entry {
  Module module;  // `unloaded` and `unloaded_ns` stay unset here
  CfiSection cfi;
  const char* name;            // as the object finder gave it, kept
  uintptr_t found_end;         // as the object finder gave it
  uintptr_t build_id_address;  // where the image holds it
  std::atomic<uintptr_t> identity;
  std::atomic<uint64_t> checked;      // generation in which it was last seen in its place
  std::atomic<uint64_t> unloaded_ns;  // 0: it is there
  std::atomic<bool> published;
};

struct Registry {
  static constexpr size_t kSlots = 2 * kMostModules;  // a power of two
  std::atomic<uint32_t> taken;                        // entries, published or about to be
  std::atomic<uint64_t> swept;          // generation in which the gone ones were looked for
  std::atomic<uint16_t> slots[kSlots];  // ids by hashed start: the newest at that address
  Entry entries[kMostModules];          // by id - 1
};

constinit std::atomic<Registry*> g_registry{nullptr};
constinit std::atomic<ModuleSink> g_sink{nullptr};

Registry* TheRegistry() {
  Registry* registry = g_registry.load(std::memory_order_acquire);  // pairs with the exchange below
  if (registry != nullptr) return registry;
  registry = static_cast<Registry*>(base::MapPrivate(sizeof(Registry), "heapecho modules"));
  if (registry == nullptr) return nullptr;
  Registry* expected = nullptr;
  if (g_registry.compare_exchange_strong(expected, registry, std::memory_order_acq_rel)) {
    return registry;
  }
  base::Unmap(registry, sizeof(Registry));
  return expected;
}

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void Tell(const Entry& entry) {
  Module module = entry.module;
  module.unloaded_ns = entry.unloaded_ns.load(std::memory_order_relaxed);
  module.unloaded = module.unloaded_ns != 0;
  NoteIfGreenlet(module);
  if (const ModuleSink sink = g_sink.load(std::memory_order_relaxed)) sink(module);
}

void MarkUnloaded(Entry* entry) {
  uint64_t there = 0;
  if (entry->unloaded_ns.compare_exchange_strong(there, NowNs(), std::memory_order_relaxed)) {
    Tell(*entry);
  }
}

bool SameRange(const Entry& entry, const MappedObject& object) {
  return entry.module.start == object.start && entry.found_end == object.end &&
         entry.identity.load(std::memory_order_relaxed) == object.identity;
}

// The identity may be reused for another file, or differ when the same file was opened again: what
// counts is range, name and build-id. Only for a module that an address of this thread's stack lies
// in: what a thread returns to stays mapped while this reads it.
bool SameFile(const Entry& entry, const MappedObject& object) {
  if (entry.module.start != object.start || entry.found_end != object.end ||
      std::strcmp(entry.name, object.name) != 0) {
    return false;
  }
  const uintptr_t build_id = entry.build_id_address;
  const size_t length = entry.module.build_id_length;
  return length == 0 ||
         (base::Readable(build_id) && base::Readable(build_id + length - 1) &&
          std::memcmp(reinterpret_cast<const void*>(build_id), entry.module.build_id, length) == 0);
}

// Once a generation: a module whose address is not met again would stay for ever.
void TellOfTheGone(Registry* registry, uint64_t generation) {
  uint64_t swept = registry->swept.load(std::memory_order_relaxed);
  if (swept >= generation ||
      !registry->swept.compare_exchange_strong(swept, generation, std::memory_order_relaxed)) {
    return;
  }
  const uint32_t taken = registry->taken.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < taken; ++i) {
    Entry& entry = registry->entries[i];
    if (!entry.published.load(std::memory_order_acquire) ||  // pairs with Register
        entry.unloaded_ns.load(std::memory_order_relaxed) != 0) {
      continue;
    }
    // What took its place with the same range and identity is noticed when it is met.
    if (!StillMapped(entry.module.start, entry.found_end,
                     entry.identity.load(std::memory_order_relaxed))) {
      MarkUnloaded(&entry);
    }
  }
}

Entry* Register(Registry* registry, const MappedObject& object, uint64_t generation,
                std::atomic<uint16_t>* slot, uint16_t previous) {
  uint32_t index = registry->taken.load(std::memory_order_relaxed);
  do {
    if (index >= kMostModules) {
      HEAPECHO_COUNT(modules_dropped);
      return nullptr;
    }
  } while (!registry->taken.compare_exchange_weak(index, index + 1, std::memory_order_relaxed));

  Entry& entry = registry->entries[index];
  entry.name = KeepPath(object.name, std::strlen(object.name));
  entry.identity.store(object.identity, std::memory_order_relaxed);
  entry.module.id = static_cast<uint16_t>(index + 1);
  entry.module.seen_ns = NowNs();
  entry.module.start = object.start;
  entry.module.end = object.end;
  entry.module.bias = object.start;
  entry.found_end = object.end;
  // A relative name means something only in the directory where the library was opened.
  entry.module.path = entry.name[0] == '/' ? entry.name : MappedFileName(object.start);
  if (entry.module.path[0] == '\0') entry.module.path = entry.name;
  ElfImage image;
  if (ReadElfImage(object.start, object.end - object.start, &image)) {
    entry.module.bias = image.bias;
    entry.module.end = image.end;
    entry.module.build_id_length = image.build_id_length;
    std::memcpy(entry.module.build_id, image.build_id, sizeof(image.build_id));
    entry.build_id_address = image.build_id_address;
    entry.cfi = {image.eh_frame_hdr, image.cfi_low, image.cfi_high};
  }
  entry.checked.store(generation, std::memory_order_relaxed);
  Tell(entry);
  entry.published.store(true,
                        std::memory_order_release);  // pairs with the other walks over entries
  if (slot->compare_exchange_strong(previous, entry.module.id, std::memory_order_acq_rel)) {
    return &entry;
  }
  // Another thread was faster; nothing will name this entry. It keeps its id and counts as present.
  Entry& winner = registry->entries[previous - 1];
  return winner.module.start == object.start ? &winner : &entry;
}

Entry* EntryOf(uintptr_t ip) {
  Registry* const registry = TheRegistry();
  if (registry == nullptr) return nullptr;
  const uint64_t generation = ModuleGeneration();
  MappedObject object;
  if (!FindObject(ip, &object)) return nullptr;
  if (registry->swept.load(std::memory_order_relaxed) < generation) {
    TellOfTheGone(registry, generation);
  }

  size_t at = (object.start >> 12) * 0x9e3779b97f4a7c15 >> 32;
  for (size_t i = 0; i < Registry::kSlots; ++i, ++at) {
    std::atomic<uint16_t>& slot = registry->slots[at % Registry::kSlots];
    const uint16_t id = slot.load(std::memory_order_acquire);  // pairs with Register's exchange
    if (id == 0) return Register(registry, object, generation, &slot, 0);
    Entry& entry = registry->entries[id - 1];
    if (entry.module.start != object.start) continue;
    const bool there = entry.unloaded_ns.load(std::memory_order_relaxed) == 0;
    if (there && SameRange(entry, object)) {
      if (entry.checked.load(std::memory_order_relaxed) == generation) return &entry;
    }
    if (there && SameFile(entry, object)) {
      entry.identity.store(object.identity, std::memory_order_relaxed);
      entry.checked.store(generation, std::memory_order_relaxed);
      return &entry;
    }
    if (there && entry.checked.load(std::memory_order_relaxed) == generation) {
      // It was exchanged without a dlclose that we saw (the C library closes its own plug-ins
      // unseen).
      ModulesMayHaveChanged();
    }
    MarkUnloaded(&entry);
    return Register(registry, object, generation, &slot, id);
  }
  HEAPECHO_COUNT(modules_dropped);
  return nullptr;
}

}  // namespace

void SetModuleSink(ModuleSink sink) { g_sink.store(sink, std::memory_order_relaxed); }

uint64_t LocationOf(uintptr_t ip) {
  constexpr uint64_t kLow48 = (uint64_t{1} << 48) - 1;
  const Entry* const entry = EntryOf(ip);
  if (entry == nullptr) return ip & kLow48;
  return uint64_t{entry->module.id} << 48 | ((ip - entry->module.bias) & kLow48);
}

bool CfiSectionOf(uintptr_t ip, CfiSection* section) {
  const Entry* const entry = EntryOf(ip);
  if (entry == nullptr || entry->cfi.header == 0) return false;
  *section = entry->cfi;
  return true;
}

bool ModuleRangeOf(uintptr_t ip, uintptr_t* start, uintptr_t* end) {
  const Entry* const entry = EntryOf(ip);
  if (entry == nullptr) return false;
  *start = entry->module.start;
  *end = entry->module.end;
  return true;
}

void ModulesMayHaveChanged() {
  ObjectsMayHaveChanged();
  g_module_generation.fetch_add(1, std::memory_order_release);
}

uint32_t ModulesMet() {
  const Registry* const registry = g_registry.load(std::memory_order_acquire);
  return registry == nullptr ? 0 : registry->taken.load(std::memory_order_relaxed);
}

bool ModuleOf(uint32_t id, Module* module) {
  const Registry* const registry = g_registry.load(std::memory_order_acquire);
  if (registry == nullptr || id == 0 || id > registry->taken.load(std::memory_order_relaxed)) return false;
  const Entry& entry = registry->entries[id - 1];
  if (!entry.published.load(std::memory_order_acquire)) return false;  // pairs with Register
  *module = entry.module;
  module->unloaded_ns = entry.unloaded_ns.load(std::memory_order_relaxed);
  module->unloaded = module->unloaded_ns != 0;
  return true;
}

void ForEachModule(void (*visit)(const Module& module, void* context), void* context) {
  const uint32_t met = ModulesMet();
  for (uint32_t id = 1; id <= met; ++id) {
    Module module;
    if (ModuleOf(id, &module)) visit(module, context);
  }
}

}  // namespace heapecho::stack

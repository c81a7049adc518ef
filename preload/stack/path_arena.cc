// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/path_arena.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "preload/base/memory.h"

namespace heapecho::stack {
namespace {

struct Arena {
  static constexpr size_t kBytes = size_t{1} << 20;
  static constexpr size_t kPaths = 8192;  // a power of two
  std::atomic<size_t> used;
  std::atomic<const char*> known[kPaths];  // open addressing by the text's hash
  char bytes[kBytes];
};

constinit std::atomic<Arena*> g_arena{nullptr};

Arena* TheArena() {
  Arena* arena = g_arena.load(std::memory_order_acquire);  // pairs with the exchange below
  if (arena != nullptr) return arena;
  arena = static_cast<Arena*>(base::MapPrivate(sizeof(Arena), "heapecho paths"));
  if (arena == nullptr) return nullptr;
  Arena* expected = nullptr;
  if (g_arena.compare_exchange_strong(expected, arena, std::memory_order_acq_rel)) return arena;
  base::Unmap(arena, sizeof(Arena));
  return expected;
}

uint32_t HashOf(const char* text, size_t length) {
  uint64_t h = 0xcbf29ce484222325;
  for (size_t i = 0; i < length; ++i) h = (h ^ static_cast<uint8_t>(text[i])) * 0x100000001b3;
  return static_cast<uint32_t>(h ^ h >> 32);
}

bool Equal(const char* kept, const char* text, size_t length) {
  return std::strncmp(kept, text, length) == 0 && kept[length] == '\0';
}

}  // namespace

const char* KeepPath(const char* text, size_t length) {
  if (length == 0) return "";
  Arena* const arena = TheArena();
  if (arena == nullptr) return "";
  const uint32_t hash = HashOf(text, length);
  const char* mine = nullptr;
  for (size_t i = 0; i < Arena::kPaths; ++i) {
    std::atomic<const char*>& slot = arena->known[(hash + i) % Arena::kPaths];
    const char* kept = slot.load(std::memory_order_acquire);  // pairs with the exchange below
    if (kept == nullptr) {
      if (mine == nullptr) {
        const size_t offset = arena->used.fetch_add(length + 1, std::memory_order_relaxed);
        if (length >= Arena::kBytes || offset >= Arena::kBytes - length) return "";
        std::memcpy(arena->bytes + offset, text, length);  // the terminator is there: zeroed pages
        mine = arena->bytes + offset;
      }
      if (slot.compare_exchange_strong(kept, mine, std::memory_order_acq_rel)) return mine;
    }
    if (Equal(kept, text, length)) return kept;
  }
  return mine == nullptr ? "" : mine;
}

}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// Calls a function at a wished depth; see the header.
#include "bench/deep_stack.h"

#include <array>
#include <utility>

namespace heapecho::bench {

namespace {

struct Call {
  uint64_t path;
  void (*leaf)(void*);
  void* context;
};

// The two calls are followed by different instructions, so that neither can be merged with the
// other or made a jump.
template <size_t kAboveLeaf>
[[gnu::noinline]] void Descend(const Call& call) {
  char room[16 + 24 * (kAboveLeaf % 5)];
  asm volatile("" : : "r"(room) : "memory");
  if (kAboveLeaf >= 64 || (call.path >> (kAboveLeaf % 64) & 1) == 0) {
    if constexpr (kAboveLeaf == 0) {
      call.leaf(call.context);
    } else {
      Descend<kAboveLeaf - 1>(call);
    }
    asm volatile("nop" ::: "memory");
  } else {
    if constexpr (kAboveLeaf == 0) {
      call.leaf(call.context);
    } else {
      Descend<kAboveLeaf - 1>(call);
    }
    asm volatile("nop; nop" ::: "memory");
  }
}

template <size_t... kDepths>
constexpr auto MakeTable(std::index_sequence<kDepths...>) {
  return std::array<void (*)(const Call&), sizeof...(kDepths)>{&Descend<kDepths>...};
}

}  // namespace

void CallAtDepth(size_t frames, uint64_t path, void (*leaf)(void*), void* context) {
  static constexpr auto kDescend = MakeTable(std::make_index_sequence<kDeepest>());
  kDescend[frames - 1](Call{path, leaf, context});
  asm volatile("" ::: "memory");
}

}  // namespace heapecho::bench

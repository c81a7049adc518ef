// SPDX-License-Identifier: Apache-2.0
// Asked on every free: may this address be a sampled one? Says no in a few instructions, and a wrong no never.
//
// A table of counts by address. Alternatives, measured as nanoseconds a pair of malloc and free where
// no question at all costs 12.6: one bit a slot 13.1, but a cleared bit hides another sampled block for ever
// (0.4 % of sampled frees missed at 2,000 live blocks, 9 % at 65,000: false leaks); 4-bit counts 13.7. Here a
// count is a whole byte: the question is then one compare with memory, four instructions with the slot, where
// a nibble takes eleven and a 64-bit product two more. The table is the same 512 KiB, and at the largest live
// set one free in sixteen looks further instead of one in thirty-two.
//
// Neighbours in memory share a slot or a cache line of slots, because a program frees what lies near to what it has just
// freed. With slots by a random hash each free touched a line and a page of its own: 82 % of the time of operator delete
// in a service that reads parquet was the wait for it. A block replaced among 100,000 others, over jemalloc, as a
// multiple of the shim's time, by how many bytes share a slot: random hash 1.20, 12 bytes 1.19, 46: 1.14, 122: 1.11,
// 248: 1.12, 482: 1.10, 910: 1.09. The price: blocks beside a sampled one look further, too. At the smallest automatic
// interval (16 KiB) that is 1.4 % of them with 234 bytes, 5.6 % with 910. 35 is one product, 33 would be a shift and a sum.
//
// Thread-safe, signal-safe, no locks. A count that has reached its highest value stays there for good
// (counted): the address then always looks further, which is slow and right.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace heapecho::live {

inline constexpr int kFilterBits = 19;

extern constinit std::atomic<uint8_t> g_filter[size_t{1} << kFilterBits]
    __attribute__((visibility("hidden")));

// One slot to 234 bytes (2^13 / 35). After 123 MB the table begins anew, out of step with powers of two since 35 is odd:
// blocks at multiples of any page or arena size are spread like others. Addresses that are equal modulo 4 GiB
// share a slot; counts allow that.
inline uint32_t FilterSlot(uintptr_t address) {
  return static_cast<uint32_t>(address) * 35u >> (32 - kFilterBits);
}

inline bool MayBeSampled(uintptr_t address) {
#ifdef __SANITIZE_THREAD__
  return g_filter[FilterSlot(address)].load(std::memory_order_relaxed) != 0;
#else
  // A relaxed load and its compare, in the one instruction that GCC 12 does not make of them.
  bool maybe;
  __asm__("cmpb $0, %1" : "=@ccne"(maybe) : "m"(g_filter[FilterSlot(address)]));
  return maybe;
#endif
}

// Before the address can be seen by another thread.
void AddToFilter(uintptr_t address);
// After its entry has left the live set, before the block is given back.
void RemoveFromFilter(uintptr_t address);
// How many slots are not zero. For tests and the summary; reads the whole table.
size_t FilterSlotsInUse();

}  // namespace heapecho::live

// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/intern.h"

#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "preload/base/counters.h"

namespace heapecho::stack {
namespace {

void IgnoreNode(uint32_t) {}
void IgnoreStack(uint32_t) {}

// Frames of made-up code, where no module is: a location is then the address itself.
using Addresses = std::vector<uintptr_t>;  // innermost first

uint32_t InternAddresses(Interner& interner, const Addresses& addresses, uint64_t now = 1,
                         wire::Domain domain = wire::Domain::kMalloc) {
  std::vector<NativeFrame> frames;
  for (uintptr_t address : addresses) frames.push_back({.ip = address, .cfa = 0});
  Interner::Use use(interner);
  return interner.Intern(use, frames.data(), {.count = static_cast<uint32_t>(frames.size()), .truncated = false, .broken = false},
                         domain, now);
}

Addresses AddressesOf(Interner& interner, uint32_t stack) {
  Addresses addresses;
  for (uint32_t node = interner.Totals(stack).native_leaf; node != 0; node = interner.nodes().ParentOf(node)) {
    const wire::NodeRecord& record = interner.nodes().Record(node);
    addresses.push_back(uint64_t{record.location_high} << 32 | record.location_low);
  }
  return addresses;
}

std::unique_ptr<Interner> Make(uint32_t stacks, uint32_t nodes) {
  auto interner = std::make_unique<Interner>();
  EXPECT_TRUE(interner->Initialize(stacks, nodes, {.node_written = IgnoreNode, .stack_written = IgnoreStack}));
  return interner;
}

uint64_t CounterOf(base::Counter counter) { return base::g_counters[static_cast<size_t>(counter)].load(); }

TEST(Interner, GivesOneIdToOneStackAndKeepsItsFrames) {
  auto interner = Make(1000, 10000);
  std::map<Addresses, uint32_t> truth;
  std::mt19937_64 random(5);
  for (int i = 0; i < 5000; ++i) {
    Addresses addresses;
    for (size_t depth = random() % 12 + 1; depth > 0; --depth) addresses.push_back(0x1000 + random() % 3);
    if (truth.size() >= 900 && truth.count(addresses) == 0) continue;
    const uint32_t stack = InternAddresses(*interner, addresses);
    ASSERT_NE(stack, wire::kUnknownStack);
    const auto [it, fresh] = truth.emplace(addresses, stack);
    EXPECT_EQ(it->second, stack);
    if (fresh) {
      EXPECT_EQ(AddressesOf(*interner, stack), addresses);
    }
  }
  std::set<uint32_t> ids;
  for (const auto& [addresses, stack] : truth) ids.insert(stack);
  EXPECT_EQ(ids.size(), truth.size());
}

TEST(Interner, TellsDomainsApart) {
  auto interner = Make(100, 100);
  EXPECT_NE(InternAddresses(*interner, {1, 2}, 1, wire::Domain::kMalloc),
            InternAddresses(*interner, {1, 2}, 1, wire::Domain::kPython));
}

TEST(Interner, SharesTheOuterFrames) {
  auto interner = Make(1000, 10000);
  Addresses deep(60, 0x5000);
  for (uintptr_t leaf = 1; leaf <= 100; ++leaf) {
    deep.front() = leaf;
    InternAddresses(*interner, deep);
  }
  EXPECT_EQ(interner->nodes().used(), 1u + 59 + 100);
}

TEST(Interner, CutsANewStackToACallerWithAnIdWhenItCannotFold) {
  auto interner = Make(4, 10000);  // ids 1 to 3
  const uint32_t caller = InternAddresses(*interner, {2, 1});
  InternAddresses(*interner, {3, 1});
  InternAddresses(*interner, {4, 1});
  const uint64_t unknown = CounterOf(base::Counter::k_stack_unknown);
  // Its caller {2, 1} has an id, but as a whole stack, not as one that was cut: nothing may be added to it.
  EXPECT_EQ(InternAddresses(*interner, {9, 2, 1}), wire::kUnknownStack);
  EXPECT_EQ(CounterOf(base::Counter::k_stack_unknown), unknown + 1);
  EXPECT_NE(caller, wire::kUnknownStack);
}

// A service that meets ever new stacks: no byte is lost, what is live keeps its frames, and the newest stack is
// always told apart.
TEST(Interner, FoldsWhatIsLongUnusedAndLosesNoByte) {
  auto interner = Make(256, 4096);
  ProcessTotals process = {};
  const Worth worth = WorthOf(100, 4);
  uint64_t now = 1000000000;
  std::map<uint32_t, Addresses> live;
  uint64_t allocated = 0;
  for (uintptr_t i = 1; i <= 5000; ++i) {
    now += 200000000;
    const uint32_t second = static_cast<uint32_t>(now / 1000000000);
    const Addresses addresses = {0x100000 + i, 0x20000 + i % 50, 0x3000 + i % 7, 0x10};
    uint32_t stack;
    {
      Interner::Use use(*interner);
      interner->FoldIfFull(use, process, now);
    }
    stack = InternAddresses(*interner, addresses, now);
    ASSERT_NE(stack, wire::kUnknownStack) << i;
    ASSERT_EQ(AddressesOf(*interner, stack), addresses) << i;
    AddAllocation(process, interner->Totals(stack), worth, now, second);
    allocated += worth.bytes;
    if (i % 100 == 0) {
      live[stack] = addresses;
    } else {
      AddFree(process, interner->Totals(stack), worth, false, second);
    }
  }
  EXPECT_GT(CounterOf(base::Counter::k_stacks_folded), 1000u);
  for (const auto& [stack, addresses] : live) EXPECT_EQ(AddressesOf(*interner, stack), addresses);
  uint64_t sum = 0, live_sum = 0, peak = 0;
  for (uint32_t stack = 0; stack < interner->used(); ++stack) {
    const StackTotals& totals = interner->Totals(stack);
    sum += totals.allocated_bytes;
    live_sum += totals.live_bytes;
    peak += totals.peak_mark == process.peak_mark ? totals.peak_bytes : totals.live_bytes;
  }
  EXPECT_EQ(sum, allocated);
  EXPECT_EQ(live_sum, process.live_bytes);
  EXPECT_EQ(peak, process.peak_bytes);
  EXPECT_EQ(live.size(), 50u);
}

TEST(Interner, DoesNotFoldWhileAnotherThreadIsInside) {
  auto interner = Make(4, 1000);
  ProcessTotals process = {};
  for (uintptr_t i = 1; i <= 3; ++i) InternAddresses(*interner, {i, 7});
  const uint64_t folded = CounterOf(base::Counter::k_stacks_folded);
  {
    Interner::Use other(*interner);
    Interner::Use use(*interner);
    interner->FoldIfFull(use, process, 5);
    EXPECT_FALSE(use.folding());
  }
  EXPECT_EQ(CounterOf(base::Counter::k_stacks_folded), folded);
  Interner::Use use(*interner);
  interner->FoldIfFull(use, process, 5);
  EXPECT_GT(CounterOf(base::Counter::k_stacks_folded), folded);
}

TEST(Interner, GivesThreadsThatMeetOneId) {
  auto interner = Make(4096, 65536);
  constexpr uintptr_t kStacks = 1000;
  std::vector<std::vector<uint32_t>> ids(4, std::vector<uint32_t>(kStacks));
  std::vector<std::thread> threads;
  for (auto& mine : ids) {
    threads.emplace_back([&] {
      for (uintptr_t i = 0; i < kStacks; ++i) mine[i] = InternAddresses(*interner, {i + 1, i / 10 + 5000, i / 100 + 9000});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : ids) EXPECT_EQ(mine, ids[0]);
  EXPECT_EQ(std::set<uint32_t>(ids[0].begin(), ids[0].end()).size(), kStacks);
}

}  // namespace
}  // namespace heapecho::stack

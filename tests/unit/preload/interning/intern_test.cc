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

// Ids that every interner has from the beginning.
constexpr uint32_t kUnknownStacks = wire::kDomains;

// With what the thread that made it keeps from one stack to the next; others have nothing.
class Subject : public Interner {
 public:
  KnownPath* path() { return std::this_thread::get_id() == thread_ ? path_.get() : nullptr; }

 private:
  const std::thread::id thread_ = std::this_thread::get_id();
  const std::unique_ptr<KnownPath> path_ = std::make_unique<KnownPath>();
};

uint32_t InternAddresses(Subject& interner, const Addresses& addresses, uint64_t now = 1,
                         wire::Domain domain = wire::Domain::kMalloc) {
  std::vector<NativeFrame> frames;
  for (uintptr_t address : addresses) frames.push_back({.ip = address, .cfa = 0});
  Interner::Use use(interner);
  const CapturedStack captured = {
      .native = frames.data(),
      .native_walk = {.count = static_cast<uint32_t>(frames.size()), .truncated = false, .broken = false, .interrupted = false},
      .python = nullptr,
      .python_walk = {},
      .code_id = nullptr,
      .path = interner.path()};
  return interner.Intern(use, captured, domain, now);
}

Addresses AddressesOf(Interner& interner, uint32_t stack) {
  Addresses addresses;
  for (uint32_t node = interner.Totals(stack).native_leaf; node != 0; node = interner.native_nodes().ParentOf(node)) {
    const wire::NodeRecord& record = interner.native_nodes().Record(node);
    addresses.push_back(uint64_t{record.location_high} << 32 | record.location_low);
  }
  return addresses;
}

uint64_t CounterOf(base::Counter counter) { return base::g_counters[static_cast<size_t>(counter)].load(); }

// A merged stack as a reader sees it, innermost first: an address for a native frame, the id of its code plus this for
// a Python frame.
constexpr uint64_t kPython = uint64_t{1} << 50;
using Merged = std::vector<uint64_t>;

uint32_t CodeOf(const PythonFrame& frame) { return static_cast<uint32_t>(frame.code); }

// Groups of Python frames, each run by a native frame; between them native frames that are none.
struct Group {
  std::vector<uint32_t> code;  // innermost first
  Addresses callees;           // native frames inside of the innermost one
};
struct Stack {
  std::vector<Group> groups;  // innermost first
  Addresses outermost;
  std::vector<uint32_t> behalf = {};  // code of those on whose behalf it ran, innermost first

  Merged Shown() const {
    Merged shown;
    for (const Group& group : groups) {
      shown.insert(shown.end(), group.callees.begin(), group.callees.end());
      for (uint32_t code : group.code) shown.push_back(kPython + code);
    }
    shown.insert(shown.end(), outermost.begin(), outermost.end());
    for (uint32_t code : behalf) shown.push_back(kPython + code);
    return shown;
  }
};

constexpr uintptr_t kEvaluation = 0xe000;

uint32_t InternBehalf(Interner& interner, const Interner::Use& use, const std::vector<uint32_t>& codes) {
  std::vector<PythonFrame> frames;
  for (uint32_t code : codes) {
    frames.push_back({.code = code, .key = code * uint64_t{0x9e3779b97f4a7c15}, .mark = 0, .instruction = 0});
  }
  return interner.InternPython(use, frames.data(), static_cast<uint32_t>(frames.size()), CodeOf);
}

uint32_t InternStack(Subject& interner, const Stack& stack, uint64_t now = 1) {
  std::vector<NativeFrame> native;
  std::vector<PythonFrame> python;
  for (const Group& group : stack.groups) {
    for (uintptr_t address : group.callees) native.push_back({.ip = address, .cfa = 0});
    native.push_back({.ip = kEvaluation | wire::kEvaluationFrame, .cfa = 0});
    for (uint32_t code : group.code) {
      python.push_back({.code = code, .key = code * uint64_t{0x9e3779b97f4a7c15}, .mark = 0, .instruction = 0});
    }
    python.back().instruction |= wire::kGroupEntry;
  }
  for (uintptr_t address : stack.outermost) native.push_back({.ip = address, .cfa = 0});
  Interner::Use use(interner);
  const CapturedStack captured = {
      .native = native.data(),
      .native_walk = {.count = static_cast<uint32_t>(native.size()), .truncated = false, .broken = false, .interrupted = false},
      .python = python.data(),
      .python_walk = {.count = static_cast<uint32_t>(python.size()), .truncated = false, .nonsense = false},
      .code_id = CodeOf,
      .path = interner.path(),
      .behalf_leaf = InternBehalf(interner, use, stack.behalf)};
  return interner.Intern(use, captured, wire::Domain::kMalloc, now);
}

// As a reader merges it.
Merged MergedOf(Interner& interner, uint32_t stack) {
  Merged merged;
  uint32_t python = interner.Totals(stack).python_leaf;
  const auto take = [&] {
    EXPECT_FALSE(interner.python_nodes().IsFree(python));
    const wire::NodeRecord& record = interner.python_nodes().Record(python);
    merged.push_back(kPython + record.location_low);
    python = interner.python_nodes().ParentOf(python);
    return (record.location_high & wire::kGroupEntry) != 0;
  };
  for (uint32_t node = interner.Totals(stack).native_leaf; node != 0;
       node = interner.native_nodes().ParentOf(node)) {
    EXPECT_FALSE(interner.native_nodes().IsFree(node));
    const wire::NodeRecord& record = interner.native_nodes().Record(node);
    const uint64_t location = uint64_t{record.location_high} << 32 | record.location_low;
    if ((location & wire::kEvaluationFrame) == 0) {
      merged.push_back(location);
      continue;
    }
    EXPECT_NE(python, 0u) << "an evaluation without a Python frame";
    while (python != 0 && !take()) {
    }
  }
  EXPECT_EQ(python, 0u) << "Python frames without an evaluation";
  for (python = interner.Totals(stack).behalf_leaf; python != 0;) EXPECT_FALSE(take());
  return merged;
}

Stack RandomStack(std::mt19937_64& random) {
  // Few choices a frame, so that stacks share their outer parts in one tree, in both, or in neither.
  Stack stack;
  for (size_t groups = random() % 4; groups > 0; --groups) {
    Group group;
    for (size_t frames = random() % 3 + 1; frames > 0; --frames) {
      group.code.push_back(static_cast<uint32_t>(random() % 6 + 1));
    }
    for (size_t frames = random() % 3; frames > 0; --frames) group.callees.push_back(0x1000 + random() % 4);
    stack.groups.push_back(group);
  }
  stack.outermost = {0x2000 + random() % 2, 0x3000};
  for (size_t frames = random() % 3; frames > 0; --frames) {
    stack.behalf.push_back(static_cast<uint32_t>(random() % 3 + 1));
  }
  return stack;
}

std::unique_ptr<Subject> Make(uint32_t stacks, uint32_t nodes, uint32_t python_nodes = 4096) {
  auto interner = std::make_unique<Subject>();
  EXPECT_TRUE(interner->Initialize(stacks, nodes, python_nodes,
                                   {.native_node_written = IgnoreNode,
                                    .python_node_written = IgnoreNode,
                                    .stack_written = IgnoreStack,
                                    .count_held = nullptr}));
  return interner;
}

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

TEST(Interner, KeepsPythonFramesWhereTheyRan) {
  auto interner = Make(20000, 40000, 40000);
  std::map<Merged, uint32_t> truth;
  std::mt19937_64 random(11);
  for (int i = 0; i < 10000; ++i) {
    const Stack stack = RandomStack(random);
    const uint32_t id = InternStack(*interner, stack);
    ASSERT_NE(id, wire::kUnknownStack);
    const auto [it, fresh] = truth.emplace(stack.Shown(), id);
    // Groups that follow each other at once look alike, wherever one ends: several ids may be shown as one stack.
    if (fresh) {
      ASSERT_EQ(MergedOf(*interner, id), stack.Shown());
    }
  }
  EXPECT_GT(truth.size(), 5000u);
}

TEST(Interner, TellsStacksApartThatDifferOnlyInPython) {
  auto interner = Make(100, 100);
  const Stack one = {.groups = {{.code = {1, 2}, .callees = {0x10}}}, .outermost = {0x20}};
  const Stack other = {.groups = {{.code = {1, 3}, .callees = {0x10}}}, .outermost = {0x20}};
  EXPECT_NE(InternStack(*interner, one), InternStack(*interner, other));
  EXPECT_EQ(InternStack(*interner, one), InternStack(*interner, one));
}

TEST(Interner, TellsStacksApartThatDifferOnlyInOnWhoseBehalfTheyRan) {
  auto interner = Make(100, 100);
  const Stack one = {.groups = {}, .outermost = {0x20}, .behalf = {1, 2}};
  const Stack other = {.groups = {}, .outermost = {0x20}, .behalf = {3, 2}};
  const Stack own = {.groups = {}, .outermost = {0x20}};
  EXPECT_NE(InternStack(*interner, one), InternStack(*interner, other));
  EXPECT_NE(InternStack(*interner, one), InternStack(*interner, own));
  EXPECT_EQ(InternStack(*interner, one), InternStack(*interner, one));
  EXPECT_EQ(MergedOf(*interner, InternStack(*interner, one)), one.Shown());
}

// What had no room used to be malloc's, whoever had asked for it.
TEST(Interner, KeepsInItsDomainWhatItHasNoRoomFor) {
  auto interner = Make(20, 1000);
  const uint32_t first = InternAddresses(*interner, {0x10, 0x20}, 1, wire::Domain::kArrow);
  EXPECT_EQ(interner->Totals(first).domain, static_cast<uint8_t>(wire::Domain::kArrow));
  for (uintptr_t i = 0; i < 40; ++i) InternAddresses(*interner, {0x1000 + i, 0x10000 + i});
  for (uintptr_t i = 0; i < 40; ++i) {
    const uint32_t id = InternAddresses(*interner, {0x2000 + i, 0x20000 + i}, 1, wire::Domain::kArrow);
    ASSERT_EQ(interner->Totals(id).domain, static_cast<uint8_t>(wire::Domain::kArrow));
  }
  EXPECT_EQ(InternAddresses(*interner, {0x3000}), wire::kUnknownStack);
}

// Whichever tree is full first: what is left of a stack is its outer part, in both kinds of frames.
TEST(Interner, CutsTheInnermostFramesOfBothKindsWhenATreeIsFull) {
  const std::pair<uint32_t, uint32_t> kNodes[] = {{150, 4000}, {4000, 60}, {150, 60}};
  for (const auto& [native_nodes, python_nodes] : kNodes) {
    auto interner = Make(20000, native_nodes, python_nodes);
    std::mt19937_64 random(12);
    const uint64_t cut = CounterOf(base::Counter::k_stack_cut);
    for (int i = 0; i < 3000; ++i) {
      Stack stack = RandomStack(random);
      const uint32_t id = InternStack(*interner, stack);
      ASSERT_NE(id, wire::kUnknownStack);
      if (interner->Totals(id).behalf_leaf == 0) stack.behalf.clear();  // no room: nobody's
      const Merged merged = MergedOf(*interner, id), shown = stack.Shown();
      ASSERT_LE(merged.size(), shown.size());
      ASSERT_TRUE(std::equal(merged.rbegin(), merged.rend(), shown.rbegin()));
      ASSERT_EQ((interner->Totals(id).flags & wire::kStackCut) != 0, merged.size() != shown.size());
    }
    EXPECT_GT(CounterOf(base::Counter::k_stack_cut), cut);
  }
}

// Its node is no stack's: without a word about it, folding would give it away.
constinit uint32_t g_held = 0;

TEST(Interner, KeepsWhileItFoldsTheFramesThatSomebodyHolds) {
  Subject interner;
  ASSERT_TRUE(interner.Initialize(600, 3000, 1500,
                                  {.native_node_written = IgnoreNode,
                                   .python_node_written = IgnoreNode,
                                   .stack_written = IgnoreStack,
                                   .count_held = [](uint32_t* references) { ++references[g_held]; }}));
  ProcessTotals process = {};
  std::mt19937_64 random(17);
  {
    Interner::Use use(interner);
    g_held = InternBehalf(interner, use, {7, 8, 9});
  }
  const uint64_t folded = CounterOf(base::Counter::k_stacks_folded);
  uint64_t now = 1000000000;
  for (int i = 0; i < 5000; ++i) {
    now += 2000000000;
    {
      Interner::Use use(interner);
      interner.FoldIfFull(use, process, now);
    }
    InternStack(interner, RandomStack(random), now);
  }
  EXPECT_GT(CounterOf(base::Counter::k_stacks_folded), folded);
  std::vector<uint32_t> codes;
  for (uint32_t node = g_held; node != 0; node = interner.python_nodes().ParentOf(node)) {
    ASSERT_FALSE(interner.python_nodes().IsFree(node));
    codes.push_back(interner.python_nodes().Record(node).location_low);
  }
  EXPECT_EQ(codes, (std::vector<uint32_t>{7, 8, 9}));
}

// The way that was taken last leads through nodes that folding may have given to somebody else.
TEST(Interner, TakesNoKnownWayThroughNodesThatWereFolded) {
  auto interner = Make(600, 3000, 1500);
  ProcessTotals process = {};
  std::mt19937_64 random(19);
  const uint64_t folded = CounterOf(base::Counter::k_stacks_folded);
  uint64_t now = 1000000000;
  for (int i = 0; i < 20000; ++i) {
    now += 200000000;
    const Stack stack = RandomStack(random);
    // All were used last in the same second, and all of them are folded: the last one as well, which then comes again.
    for (int twice = 0; twice < 2; ++twice) {
      {
        Interner::Use use(*interner);
        interner->FoldIfFull(use, process, now);
      }
      const uint32_t id = InternStack(*interner, stack, now);
      ASSERT_EQ(MergedOf(*interner, id), stack.Shown()) << i;
    }
  }
  EXPECT_GT(CounterOf(base::Counter::k_stacks_folded), folded);
}

TEST(Interner, FoldsPythonFramesWithTheNativeOnesAroundThem) {
  auto interner = Make(600, 3000, 1500);
  ProcessTotals process = {};
  const Worth worth = WorthOf(100, 4);
  std::mt19937_64 random(13);
  std::map<uint32_t, Merged> live;
  std::set<Merged> outer_parts;
  uint64_t now = 1000000000, allocated = 0;
  for (int i = 0; i < 20000; ++i) {
    now += 200000000;
    const uint32_t second = static_cast<uint32_t>(now / 1000000000);
    const Stack stack = RandomStack(random);
    const Merged shown = stack.Shown();
    for (size_t from = 0; from <= shown.size(); ++from) {
      outer_parts.insert(Merged(shown.begin() + static_cast<ptrdiff_t>(from), shown.end()));
    }
    {
      Interner::Use use(*interner);
      interner->FoldIfFull(use, process, now);
    }
    const uint32_t id = InternStack(*interner, stack, now);
    ASSERT_NE(id, wire::kUnknownStack) << i;
    ASSERT_EQ(MergedOf(*interner, id), shown) << i;
    AddAllocation(process, interner->Totals(id), worth, now, second);
    allocated += worth.bytes;
    if (i % 200 == 0) {
      live[id] = shown;
    } else {
      AddFree(process, interner->Totals(id), worth, false, second);
    }
  }
  for (const auto& [id, shown] : live) EXPECT_EQ(MergedOf(*interner, id), shown);
  uint64_t sum = 0;
  for (uint32_t id = 1; id < interner->used(); ++id) {
    sum += interner->Totals(id).allocated_bytes;
    if (interner->Totals(id).native_leaf == 0 || interner->Totals(id).domain == 0xff) continue;
    EXPECT_EQ(outer_parts.count(MergedOf(*interner, id)), 1u) << id;
  }
  EXPECT_EQ(sum, allocated);
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
  EXPECT_EQ(interner->native_nodes().used(), 1u + 59 + 100);
}

TEST(Interner, CutsANewStackToACallerWithAnIdWhenItCannotFold) {
  auto interner = Make(kUnknownStacks + 3, 10000);
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

// A program that holds a little of everything used to have no stacks left for what came later.
TEST(Interner, SaysOnceThatWhatIsLiveLeavesNoRoom) {
  constexpr uint32_t kStacks = 64;
  auto interner = Make(kUnknownStacks + kStacks, 4096);
  ProcessTotals process = {};
  const Worth worth = WorthOf(100, 4);
  const auto fold = [&](uint64_t now) {
    Interner::Use use(*interner);
    interner->FoldIfFull(use, process, now);
  };
  std::vector<uint32_t> stacks;
  for (uintptr_t i = 0; i < kStacks; ++i) {
    stacks.push_back(InternAddresses(*interner, {0x1000 + i, 0x10}));
    AddAllocation(process, interner->Totals(stacks.back()), worth, 1, 1);
  }
  EXPECT_FALSE(interner->TakeCrowded());
  fold(1);
  EXPECT_TRUE(interner->TakeCrowded());
  EXPECT_FALSE(interner->TakeCrowded());
  for (const uint32_t stack : stacks) AddFree(process, interner->Totals(stack), worth, false, 1);
  fold(2);  // at once: less is live now
  EXPECT_FALSE(interner->TakeCrowded());
  EXPECT_NE(InternAddresses(*interner, {0x9000, 0x10}), wire::kUnknownStack);
}

TEST(Interner, DoesNotFoldWhileAnotherThreadIsInside) {
  auto interner = Make(kUnknownStacks + 3, 1000);
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

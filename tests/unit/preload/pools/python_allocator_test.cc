// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/python_allocator.h"

#include <link.h>

#include "gtest/gtest.h"

namespace {

using heapecho::pools::PythonAllocator;
using heapecho::pools::PythonArenas;
using heapecho::pools::PythonDomain;

constexpr int kRaw = 0, kMemory = 1, kObject = 2;

// The interpreter: what its functions answer and what they were told.
PythonAllocator g_allocators[3];
PythonArenas g_arenas;
int g_sets;

}  // namespace

extern "C" {
__attribute__((visibility("default"))) void PyMem_GetAllocator(int domain, PythonAllocator* out) {
  *out = g_allocators[domain];
}
__attribute__((visibility("default"))) void PyMem_SetAllocator(int domain, const PythonAllocator* in) {
  g_allocators[domain] = *in;
  ++g_sets;
}
__attribute__((visibility("default"))) void PyObject_GetArenaAllocator(PythonArenas* out) { *out = g_arenas; }
__attribute__((visibility("default"))) void PyObject_SetArenaAllocator(const PythonArenas* in) { g_arenas = *in; }
}

namespace {

template <int kWhose>
void* Malloc(void*, size_t) {
  return reinterpret_cast<void*>(kWhose);
}
template <int kWhose>
void* Calloc(void*, size_t, size_t) {
  return reinterpret_cast<void*>(kWhose);
}
template <int kWhose>
void* Realloc(void*, void*, size_t) {
  return reinterpret_cast<void*>(kWhose);
}
template <int kWhose>
void Free(void*, void*) {}
template <int kWhose>
void* MapArena(void*, size_t) {
  return reinterpret_cast<void*>(kWhose);
}
template <int kWhose>
void UnmapArena(void*, void*, size_t) {}

template <int kWhose>
constexpr PythonAllocator Functions(void* context = nullptr) {
  return {context, Malloc<kWhose>, Calloc<kWhose>, Realloc<kWhose>, Free<kWhose>};
}

enum Whose : int { kLibc = 1, kPymalloc, kMimallocMemory, kMimallocObject, kDebug, kOurs };

constexpr PythonAllocator kOurFunctions = Functions<kOurs>();
constexpr PythonArenas kOurArenas = {nullptr, MapArena<kOurs>, UnmapArena<kOurs>};

class PythonDomainTest : public testing::Test {
 protected:
  PythonDomainTest() {
    Interpreter(Functions<kPymalloc>(), Functions<kPymalloc>());
    g_arenas = {nullptr, MapArena<kPymalloc>, UnmapArena<kPymalloc>};
    g_sets = 0;
  }

  static void Interpreter(const PythonAllocator& memory, const PythonAllocator& object) {
    g_allocators[kRaw] = Functions<kLibc>();
    g_allocators[kMemory] = memory;
    g_allocators[kObject] = object;
  }

  static bool IsOurs(int domain) { return g_allocators[domain].malloc == Malloc<kOurs>; }

  void Hook() { domain_.Hook(file_, kOurFunctions, kOurArenas); }
  void Settle() { domain_.Settle(file_, kOurFunctions, kOurArenas); }

  const heapecho::base::ExportingFile file_ = heapecho::base::FileOf(*_r_debug.r_map);
  PythonDomain domain_ = {};
};

TEST_F(PythonDomainTest, StandsInFrontOfPymallocInBothDomainsAndNotOfItsFree) {
  EXPECT_EQ(domain_.verdict(), nullptr);
  Hook();
  EXPECT_STREQ(domain_.verdict(), "hooked");
  for (const int domain : {kMemory, kObject}) {
    EXPECT_EQ(g_allocators[domain].malloc, Malloc<kOurs>);
    EXPECT_EQ(g_allocators[domain].calloc, Calloc<kOurs>);
    EXPECT_EQ(g_allocators[domain].realloc, Realloc<kOurs>);
    EXPECT_EQ(g_allocators[domain].free, Free<kPymalloc>);
    EXPECT_EQ(g_allocators[domain].context, nullptr);
  }
  EXPECT_EQ(g_allocators[kRaw].malloc, Malloc<kLibc>) << "malloc's hook sees the raw domain";
  EXPECT_EQ(domain_.next(), Functions<kPymalloc>());
}

TEST_F(PythonDomainTest, CountsArenasOnceHoweverOftenItIsPutInFront) {
  Hook();
  EXPECT_EQ(g_arenas.allocate, MapArena<kOurs>);
  Interpreter(Functions<kPymalloc>(), Functions<kPymalloc>());
  Settle();
  EXPECT_EQ(domain_.next_arenas().allocate, MapArena<kPymalloc>) << "not ours again, which would call itself";
  EXPECT_EQ(domain_.next_arenas().free, UnmapArena<kPymalloc>);
}

TEST_F(PythonDomainTest, LeavesAloneWhatIsNotPymallocAndSaysWhy) {
  const auto verdict_of = [](const PythonAllocator& memory, const PythonAllocator& object) {
    Interpreter(memory, object);
    PythonDomain domain = {};
    domain.Hook(heapecho::base::FileOf(*_r_debug.r_map), kOurFunctions, kOurArenas);
    EXPECT_FALSE(IsOurs(kMemory));
    EXPECT_FALSE(IsOurs(kObject));
    EXPECT_TRUE(domain.settled());
    return std::string(domain.verdict());
  };
  int context = 0;
  EXPECT_EQ(verdict_of(Functions<kLibc>(), Functions<kLibc>()), "not hooked: its objects come from malloc");
  EXPECT_EQ(verdict_of(Functions<kMimallocMemory>(), Functions<kMimallocObject>()),
            "not hooked: its objects do not come from pymalloc");
  EXPECT_EQ(verdict_of(Functions<kDebug>(&context), Functions<kDebug>(&context)),
            "not hooked: debug functions or another tool's are in front of its allocator");
  EXPECT_EQ(g_sets, 0);
  EXPECT_EQ(g_arenas.allocate, MapArena<kPymalloc>);
}

TEST_F(PythonDomainTest, LeavesAloneAFileThatExportsNoAllocator) {
  domain_.Hook({.bias = 0, .dynamic = nullptr}, kOurFunctions, kOurArenas);
  EXPECT_STREQ(domain_.verdict(), "not hooked: it does not export the functions that set its allocator");
  EXPECT_EQ(g_sets, 0);
}

TEST_F(PythonDomainTest, PutsBackWhatASettingReplacedByPymalloc) {
  Hook();
  Interpreter(Functions<kPymalloc>(), Functions<kPymalloc>());  // PYTHONMALLOC=pymalloc
  Settle();
  EXPECT_TRUE(IsOurs(kMemory) && IsOurs(kObject));
  EXPECT_STREQ(domain_.verdict(), "hooked");
}

TEST_F(PythonDomainTest, TakesBackItsWordWhereASettingReplacedItByAnotherAllocator) {
  Hook();
  Interpreter(Functions<kLibc>(), Functions<kLibc>());  // PYTHONMALLOC=malloc
  Settle();
  EXPECT_FALSE(IsOurs(kObject));
  EXPECT_STREQ(domain_.verdict(), "not hooked: its objects come from malloc");
}

TEST_F(PythonDomainTest, StaysWhereAToolStandsInFrontOfIt) {
  Hook();
  // As tracemalloc keeps what it calls.
  struct {
    PythonAllocator inner;
    void* more;
  } tool = {g_allocators[kObject], nullptr};
  Interpreter(Functions<kDebug>(&tool), Functions<kDebug>(&tool));
  g_sets = 0;
  Settle();
  EXPECT_STREQ(domain_.verdict(), "hooked");
  EXPECT_EQ(g_sets, 0) << "the tool stays in front";
}

TEST_F(PythonDomainTest, ReadsNothingThroughAContextThatIsNoAddress) {
  Hook();
  Interpreter(Functions<kDebug>(reinterpret_cast<void*>(8)), Functions<kDebug>(reinterpret_cast<void*>(8)));
  Settle();
  EXPECT_STREQ(domain_.verdict(), "not hooked: debug functions or another tool's are in front of its allocator");
}

TEST_F(PythonDomainTest, IsPutInFrontOfAnInterpreterThatRunsAlready) {
  Settle();
  EXPECT_TRUE(IsOurs(kMemory) && IsOurs(kObject));
  EXPECT_STREQ(domain_.verdict(), "hooked");
  EXPECT_TRUE(domain_.settled());
}

TEST_F(PythonDomainTest, LooksOnce) {
  Hook();
  EXPECT_FALSE(domain_.settled());
  Settle();
  Interpreter(Functions<kPymalloc>(), Functions<kPymalloc>());  // the program's own wish, later
  Settle();
  EXPECT_FALSE(IsOurs(kObject));
}

}  // namespace

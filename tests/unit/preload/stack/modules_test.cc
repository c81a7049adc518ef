// SPDX-License-Identifier: Apache-2.0
// Modules by both ways of finding them: the loader's word and our own table.
#include "preload/stack/modules.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "preload/stack/native_unwinder.h"
#include "preload/stack/object_finder.h"
#include "tests/unit/preload/stack/walk_comparison.h"

namespace heapecho::stack {
namespace {

using heapecho::testing::CompareWithLibunwind;
using heapecho::testing::Comparison;

struct Known {
  std::string path;
  bool unloaded;
  uintptr_t start, end, bias;
  std::string build_id;
  uint64_t seen_ns, unloaded_ns;
};

std::map<uint16_t, Known> AllModules() {
  std::map<uint16_t, Known> all;
  ForEachModule(
      [](const Module& module, void* context) {
        auto& out = *static_cast<std::map<uint16_t, Known>*>(context);
        EXPECT_TRUE(out.empty() || out.rbegin()->first < module.id) << "not in order of id";
        out[module.id] = {
            module.path,
            module.unloaded,
            module.start,
            module.end,
            module.bias,
            std::string(reinterpret_cast<const char*>(module.build_id), module.build_id_length),
            module.seen_ns,
            module.unloaded_ns};
      },
      &all);
  return all;
}

uint16_t IdOf(uint64_t location) { return static_cast<uint16_t>(location >> 48); }
uint64_t AddressOf(uint64_t location) { return location << 16 >> 16; }

struct Loaded {
  std::string name;
  uintptr_t bias;
  uintptr_t code;  // an address in its executable segment
};

std::vector<Loaded> AsTheLoaderSays() {
  std::vector<Loaded> all;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* context) {
        for (size_t i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
          static_cast<std::vector<Loaded>*>(context)->push_back(
              {info->dlpi_name, info->dlpi_addr, info->dlpi_addr + segment.p_vaddr + 16});
        }
        return 0;
      },
      &all);
  return all;
}

struct Told {
  uint16_t id;
  bool unloaded;
};
constexpr size_t kMostTold = 256;
Told g_told[kMostTold];
std::atomic<size_t> g_told_count{0};

void RememberWhatIsTold(const Module& module) {
  const size_t i = g_told_count.fetch_add(1);
  if (i < kMostTold) g_told[i] = {module.id, module.unloaded};
}

class Modules : public ::testing::TestWithParam<ObjectSource> {
 protected:
  void SetUp() override {
    InitializeNativeUnwinder();
    if (GetParam() == ObjectSource::kLoader && CurrentObjectSource() != ObjectSource::kLoader) {
      GTEST_SKIP() << "this C library has no _dl_find_object";
    }
    UseObjectSource(GetParam());
    ModulesMayHaveChanged();
    // What the other source had found is found anew, and told of, before the test begins.
    for (const auto& loaded : AsTheLoaderSays()) LocationOf(loaded.code);
    g_told_count = 0;
    SetModuleSink(RememberWhatIsTold);
  }
  void TearDown() override {
    SetModuleSink(nullptr);
    InitializeObjectFinder();
    ModulesMayHaveChanged();
  }
};

INSTANTIATE_TEST_SUITE_P(BothSources, Modules,
                         ::testing::Values(ObjectSource::kLoader, ObjectSource::kOwnTable),
                         [](const auto& source) {
                           return source.param == ObjectSource::kLoader ? "Loader" : "OwnTable";
                         });

TEST_P(Modules, LocateEveryLoadedFile) {
  const std::vector<Loaded> loaded = AsTheLoaderSays();
  ASSERT_GT(loaded.size(), 3u);
  for (const Loaded& expected : loaded) {
    const uint64_t location = LocationOf(expected.code);
    ASSERT_NE(IdOf(location), 0) << expected.name;
    EXPECT_EQ(AddressOf(location), expected.code - expected.bias) << expected.name;
    const Known known = AllModules()[IdOf(location)];
    EXPECT_EQ(known.bias, expected.bias);
    EXPECT_LE(known.start, expected.code);
    EXPECT_GT(known.end, expected.code);
    EXPECT_GT(known.seen_ns, 0u);
    if (expected.name.empty()) {
      EXPECT_EQ(known.path, std::filesystem::read_symlink("/proc/self/exe"));
    } else if (expected.name[0] == '/') {
      EXPECT_TRUE(std::filesystem::equivalent(known.path, expected.name)) << known.path;
    } else {
      EXPECT_EQ(known.path, expected.name);
    }
  }
}

TEST_P(Modules, KnowTheBuildIdOfThisProgram) {
  const auto here = reinterpret_cast<uintptr_t>(&AsTheLoaderSays);
  const uint16_t id = IdOf(LocationOf(here));
  const std::string build_id = AllModules()[id].build_id;
  ASSERT_EQ(build_id.size(), 20u);
  // The linker put it into the file as a note; the loader shows the same note.
  struct Search {
    std::string found;
  } search;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* context) {
        for (size_t i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_NOTE) continue;
          const std::string bytes(reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr),
                                  segment.p_memsz);
          const size_t at = bytes.find(std::string("\x03\0\0\0GNU\0", 8));
          if (at != std::string::npos) {
            static_cast<Search*>(context)->found = bytes.substr(at + 8, 20);
          }
        }
        return 1;  // the first is the program itself
      },
      &search);
  EXPECT_EQ(build_id, search.found);
}

TEST_P(Modules, GiveTheAbsoluteAddressWhereNoFileIs) {
  void* const memory = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto address = reinterpret_cast<uintptr_t>(memory);
  EXPECT_EQ(LocationOf(address), address);
  EXPECT_EQ(LocationOf(8), 8u);
  int on_stack = 0;
  const auto stack_address = reinterpret_cast<uintptr_t>(&on_stack);
  EXPECT_EQ(LocationOf(stack_address), stack_address);
  munmap(memory, 4096);
}

TEST_P(Modules, TellOfEachModuleOnce) {
  ASSERT_NE(dlopen(HEAPECHO_PLUGIN_SMALL, RTLD_NOW), nullptr);
  void* const library = dlopen(HEAPECHO_PLUGIN_SMALL, RTLD_NOW);
  const auto address = reinterpret_cast<uintptr_t>(dlsym(library, "heapecho_plugin_call"));
  g_told_count = 0;
  ModulesMayHaveChanged();
  const uint64_t location = LocationOf(address);
  EXPECT_EQ(LocationOf(address), location);
  ModulesMayHaveChanged();
  EXPECT_EQ(LocationOf(address), location);
  EXPECT_EQ(g_told_count, 1u);
  EXPECT_EQ(g_told[0].id, IdOf(location));
  EXPECT_FALSE(g_told[0].unloaded);
  dlclose(library);
  dlclose(library);
  ModulesMayHaveChanged();
  LocationOf(reinterpret_cast<uintptr_t>(&AsTheLoaderSays));
}

TEST_P(Modules, ResolveARelativeNameWhenFirstMet) {
  const std::filesystem::path plugin = HEAPECHO_PLUGIN_RELATIVE;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(plugin.parent_path());
  void* const library = dlopen(("./" + plugin.filename().string()).c_str(), RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto address = reinterpret_cast<uintptr_t>(dlsym(library, "heapecho_plugin_call"));
  ModulesMayHaveChanged();
  const uint64_t location = LocationOf(address);
  std::filesystem::current_path(before);
  EXPECT_EQ(AllModules()[IdOf(location)].path, plugin.string());
  dlclose(library);
  ModulesMayHaveChanged();
  LocationOf(reinterpret_cast<uintptr_t>(&AsTheLoaderSays));
}

Comparison g_comparison;
void* g_called_from;
void CompareInPlugin() {
  g_comparison = CompareWithLibunwind();
  g_called_from = __builtin_return_address(0);
}

// A rule of an unloaded library must not be applied to the one that came in its place, nor its name
// be shown for it.
TEST_P(Modules, TellAReplacedLibraryFromTheOneBefore) {
  std::set<uint16_t> ids;
  std::set<void*> called_from;
  for (int round = 0; round < 3; ++round) {
    for (const char* path : {HEAPECHO_PLUGIN_SMALL, HEAPECHO_PLUGIN_LARGE}) {
      void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
      ASSERT_NE(library, nullptr) << dlerror();
      ModulesMayHaveChanged();
      void* const symbol = dlsym(library, "heapecho_plugin_call");
      const auto address = reinterpret_cast<uintptr_t>(symbol);
      const uint16_t id = IdOf(LocationOf(address + 1));
      ids.insert(id);
      EXPECT_EQ(AllModules()[id].path, path);
      EXPECT_FALSE(AllModules()[id].unloaded);
      reinterpret_cast<void (*)(void (*)())>(symbol)(CompareInPlugin);
      EXPECT_TRUE(g_comparison.same) << g_comparison.difference;
      EXPECT_FALSE(g_comparison.broken);
      called_from.insert(g_called_from);
      ModulesMayHaveChanged();
      dlclose(library);
      ModulesMayHaveChanged();
    }
  }
  if (called_from.size() == 6) GTEST_SKIP() << "no library came to lie where another had been";
  LocationOf(reinterpret_cast<uintptr_t>(&AsTheLoaderSays));
  for (const uint16_t id : ids) {
    EXPECT_TRUE(AllModules()[id].unloaded) << id << " " << AllModules()[id].path;
    EXPECT_GT(AllModules()[id].unloaded_ns, 0u);
  }
}

TEST_P(Modules, TellOfALibraryThatIsGoneEvenIfItsAddressIsNotMetAgain) {
  void* const library = dlopen(HEAPECHO_PLUGIN_LARGE, RTLD_NOW);
  ModulesMayHaveChanged();
  const uint64_t location =
      LocationOf(reinterpret_cast<uintptr_t>(dlsym(library, "heapecho_plugin_call")));
  const auto here = reinterpret_cast<uintptr_t>(&AsTheLoaderSays);
  LocationOf(here);
  g_told_count = 0;
  dlclose(library);
  ModulesMayHaveChanged();
  LocationOf(here);
  ASSERT_EQ(g_told_count, 1u);
  EXPECT_EQ(g_told[0].id, IdOf(location));
  EXPECT_TRUE(g_told[0].unloaded);
}

TEST_P(Modules, AgreeBetweenThreadsThatMeetThemTogether) {
  const auto here = reinterpret_cast<uintptr_t>(&AsTheLoaderSays);
  const auto there = reinterpret_cast<uintptr_t>(&getpid);
  const uint64_t expected_here = LocationOf(here), expected_there = LocationOf(there);
  std::atomic<bool> stop{false};
  std::thread changer([&stop] {
    while (!stop) {
      void* const library = dlopen(HEAPECHO_PLUGIN_SMALL, RTLD_NOW);
      ModulesMayHaveChanged();
      dlclose(library);
      ModulesMayHaveChanged();
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0}, right{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3000; ++i) {
        // While our own table is being read again by another thread, an address has no module.
        for (const auto& [ip, expected] :
             {std::pair(here, expected_here), {there, expected_there}}) {
          const uint64_t location = LocationOf(ip);
          if (location == expected) {
            ++right;
          } else if (IdOf(location) != 0 || GetParam() == ObjectSource::kLoader) {
            ++wrong;
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  changer.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(right, 0);
}

TEST(ObjectFinder, PrefersTheLoadersWordWhereTheCLibraryHasIt) {
  InitializeObjectFinder();
  EXPECT_EQ(CurrentObjectSource() == ObjectSource::kLoader,
            dlsym(RTLD_DEFAULT, "_dl_find_object") != nullptr);
}

// What the two ways say of the same address must be the same.
TEST(ObjectFinder, HasTheSameAnswerFromBothSources) {
  InitializeObjectFinder();
  if (CurrentObjectSource() != ObjectSource::kLoader) {
    GTEST_SKIP() << "this C library has no _dl_find_object";
  }
  for (const Loaded& loaded : AsTheLoaderSays()) {
    MappedObject by_loader{}, by_table{};
    UseObjectSource(ObjectSource::kLoader);
    ASSERT_TRUE(FindObject(loaded.code, &by_loader));
    UseObjectSource(ObjectSource::kOwnTable);
    ASSERT_TRUE(FindObject(loaded.code, &by_table)) << loaded.name;
    EXPECT_EQ(by_loader.start, by_table.start) << loaded.name;
    EXPECT_GT(by_table.end, loaded.code);
    // The loader counts the zeroed memory behind the file's, the kernel lists it as no file's.
    EXPECT_LE(by_table.end, (by_loader.end + 4095) & ~uintptr_t{4095}) << loaded.name;
    EXPECT_TRUE(StillMapped(by_table.start, by_table.end, by_table.identity));
    EXPECT_FALSE(StillMapped(by_table.start, by_table.end, by_table.identity + 1));
  }
  InitializeObjectFinder();
}

TEST(ObjectFinder, DoesNotTakeAFileThatIsMappedToBeReadForALibrary) {
  InitializeObjectFinder();
  UseObjectSource(ObjectSource::kOwnTable);
  FILE* const file = fopen(HEAPECHO_PLUGIN_SMALL, "rb");
  ASSERT_NE(file, nullptr);
  void* const memory = mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, fileno(file), 0);
  fclose(file);
  ASSERT_NE(memory, MAP_FAILED);
  ObjectsMayHaveChanged();
  MappedObject object;
  EXPECT_FALSE(FindObject(reinterpret_cast<uintptr_t>(memory) + 100, &object));
  munmap(memory, 8192);
  InitializeObjectFinder();
}

TEST(ObjectFinder, NamesTheFileBehindAnAddress) {
  for (const Loaded& loaded : AsTheLoaderSays()) {
    if (loaded.name.empty() || loaded.name[0] != '/') continue;
    MappedObject object;
    InitializeObjectFinder();
    ASSERT_TRUE(FindObject(loaded.code, &object));
    EXPECT_TRUE(std::filesystem::equivalent(MappedFileName(object.start), loaded.name));
  }
  EXPECT_STREQ(MappedFileName(1), "");
}

}  // namespace
}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
#include "preload/pools/arrow_file.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace heapecho::pools {
namespace {

// Opened for the rest of the program, as its headers describe it.
MappedFile Open(const char* path) {
  void* const handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(handle, nullptr) << dlerror();
  struct Search {
    const char* path;
    MappedFile file;
  } search = {path, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* context) {
        Search& wanted = *static_cast<Search*>(context);
        if (std::strcmp(info->dlpi_name, wanted.path) != 0) return 0;
        MappedFile& file = wanted.file;
        file.exports.bias = info->dlpi_addr;
        file.start = UINTPTR_MAX;
        for (size_t i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& segment = info->dlpi_phdr[i];
          const uintptr_t start = info->dlpi_addr + segment.p_vaddr, end = start + segment.p_memsz;
          if (segment.p_type == PT_DYNAMIC)
            file.exports.dynamic = reinterpret_cast<const ElfW(Dyn)*>(start);
          if (segment.p_type == PT_GNU_RELRO) file.constant_start = start, file.constant_end = end;
          if (segment.p_type != PT_LOAD) continue;
          file.start = std::min(file.start, start);
          file.end = std::max(file.end, end);
          if ((segment.p_flags & PF_X) != 0) file.code_start = start, file.code_end = end;
        }
        return 1;
      },
      &search);
  EXPECT_NE(search.file.exports.dynamic, nullptr) << path;
  return search.file;
}

// The function in a slot, by the name of its class and its own.
std::string NameIn(const uintptr_t* slot) {
  Dl_info info = {};
  EXPECT_NE(dladdr(reinterpret_cast<void*>(*slot), &info), 0);
  return info.dli_sname != nullptr ? info.dli_sname : "";
}

TEST(ArrowFile, IsRecognisedByWhatItExports) {
  EXPECT_TRUE(IsArrow(Open(ARROW_plain)));
  EXPECT_TRUE(IsArrow(Open(ARROW_OTHER_POOLS)));
  EXPECT_FALSE(IsArrow(Open("/lib/x86_64-linux-gnu/libc.so.6")));
}

TEST(ArrowFile, HasThePoolsThatAllocateThemselvesAndNotTheProxy) {
  const MappedFile mapped = Open(ARROW_plain);
  const ArrowFile file = ReadArrowFile(mapped);
  EXPECT_EQ(file.trouble, nullptr);
  EXPECT_TRUE(file.aligned);
  ASSERT_EQ(file.pool_count, 1U);
  const ArrowPool& pool = file.pools[0];
  EXPECT_EQ(pool.reallocate - pool.allocate, 1);
  EXPECT_EQ(pool.free - pool.allocate, 2);
  // Its functions are local to their file: nobody exports them, as ProxyMemoryPool's are.
  for (const uintptr_t* slot : {pool.allocate, pool.reallocate, pool.free}) {
    EXPECT_GE(*slot, mapped.code_start);
    EXPECT_LT(*slot, mapped.code_end);
    EXPECT_EQ(NameIn(slot).find("ProxyMemoryPool"), std::string::npos);
  }
}

TEST(ArrowFile, SaysWhetherItsFunctionsTakeAnAlignment) {
  const ArrowFile file = ReadArrowFile(Open(ARROW_OLD));
  EXPECT_FALSE(file.aligned);
  EXPECT_EQ(file.pool_count, 1U);
}

TEST(ArrowFile, HasTheThreadPoolsFunction) {
  const ArrowFile file = ReadArrowFile(Open(ARROW_plain));
  ASSERT_NE(file.spawn, nullptr);
  EXPECT_NE(NameIn(file.spawn).find("ThreadPool9SpawnReal"), std::string::npos);
  EXPECT_EQ(file.task_trouble, nullptr);
}

TEST(ArrowFile, SaysWhatIsNotAsExpected) {
  const ArrowFile no_pools = ReadArrowFile(Open(ARROW_NO_POOLS));
  EXPECT_EQ(no_pools.pool_count, 0U);
  EXPECT_STREQ(no_pools.trouble, "no memory pools are found in it");

  const ArrowFile other_pools = ReadArrowFile(Open(ARROW_OTHER_POOLS));
  EXPECT_EQ(other_pools.pool_count, 0U);
  EXPECT_STREQ(other_pools.trouble, "the functions of a memory pool are not those that are known");

  const ArrowFile other_tasks = ReadArrowFile(Open(ARROW_OTHER_TASKS));
  EXPECT_EQ(other_tasks.pool_count, 1U);
  EXPECT_EQ(other_tasks.spawn, nullptr);
  EXPECT_STREQ(other_tasks.task_trouble, "the thread pool's function is not the one that is known");
}

// Whatever part of it is constant memory: what is found lies within, and what does not is not read.
TEST(ArrowFile, TakesNothingFromOutsideOfItsConstantMemory) {
  const MappedFile whole = Open(ARROW_plain);
  std::set<size_t> counts;
  for (uintptr_t end = whole.constant_start; end <= whole.constant_end; end += sizeof(uintptr_t)) {
    MappedFile part = whole;
    part.constant_end = end;
    const ArrowFile file = ReadArrowFile(part);
    counts.insert(file.pool_count);
    ASSERT_EQ(file.pool_count == 0, file.trouble != nullptr);
    for (size_t i = 0; i < file.pool_count; ++i) {
      ASSERT_LT(reinterpret_cast<uintptr_t>(file.pools[i].free), end);
    }
    if (file.spawn != nullptr) {
      ASSERT_LT(reinterpret_cast<uintptr_t>(file.spawn), end);
    }
  }
  EXPECT_EQ(counts, (std::set<size_t>{0, 1}));
}

}  // namespace
}  // namespace heapecho::pools

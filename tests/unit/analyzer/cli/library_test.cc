// SPDX-License-Identifier: Apache-2.0
// What LD_PRELOAD becomes.
#include "analyzer/cli/library.h"

#include "gtest/gtest.h"

namespace heapecho::cli {
namespace {

TEST(PreloadValue, PutsTheLibraryBeforeAnAllocatorThatIsThere) {
  EXPECT_EQ(PreloadValue("/x/libheapecho.so", "", ""), "/x/libheapecho.so");
  EXPECT_EQ(PreloadValue("/x/libheapecho.so", "", "/usr/lib/libjemalloc.so.2"),
            "/x/libheapecho.so:/usr/lib/libjemalloc.so.2");
  EXPECT_EQ(PreloadValue("/x/libheapecho.so", "", "a.so b.so:c.so"),
            "/x/libheapecho.so:a.so:b.so:c.so");
}

TEST(PreloadValue, HoldsTheLibraryOnce) {
  EXPECT_EQ(PreloadValue("/x/libheapecho.so", "", "jemalloc.so:/x/libheapecho.so"),
            "/x/libheapecho.so:jemalloc.so");
}

TEST(PreloadValue, PutsAnAllocatorThatIsAskedForBeforeAllOthersAndOnce) {
  EXPECT_EQ(PreloadValue("/x/libheapecho.so", "libjemalloc.so.2", "libtcmalloc.so.4 b.so"),
            "/x/libheapecho.so:libjemalloc.so.2:libtcmalloc.so.4:b.so");
  EXPECT_EQ(PreloadValue("/x/libheapecho.so", "libjemalloc.so.2", "b.so:libjemalloc.so.2"),
            "/x/libheapecho.so:libjemalloc.so.2:b.so");
}

}  // namespace
}  // namespace heapecho::cli

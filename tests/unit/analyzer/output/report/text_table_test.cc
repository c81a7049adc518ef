// SPDX-License-Identifier: Apache-2.0
#include "analyzer/output/text_table.h"

#include <gtest/gtest.h>

namespace heapecho::output {
namespace {

TEST(TextTable, AlignsByCharactersNotBytes) {
  EXPECT_EQ(TextTable({{"a", "1 ± 2", "x"}, {"bbb", "1234567", "y"}}, {}),
            "  a    1 ± 2    x\n"
            "  bbb  1234567  y\n");
}

TEST(TextTable, PutsColumnsFlushRightThatShallBe) {
  EXPECT_EQ(TextTable({{"a", "1"}, {"b", "123"}}, {1}), "  a    1\n  b  123\n");
}

TEST(TextTable, TakesRowsOfDifferentLengths) {
  EXPECT_EQ(TextTable({{"a"}, {"bb", "c"}, {}}, {}), "  a\n  bb  c\n\n");
  EXPECT_EQ(TextTable({}, {}), "");
}

TEST(Printable, ReplacesControlCharactersAndNothingElse) {
  EXPECT_EQ(Printable("a\x1b[2J\n\x7f ± z"), "a?[2J?? ± z");
}

}  // namespace
}  // namespace heapecho::output

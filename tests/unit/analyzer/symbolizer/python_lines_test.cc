// SPDX-License-Identifier: Apache-2.0
#include "analyzer/symbolizer/python_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"

namespace heapecho::symbolizer {
namespace {

using model::LineTable;
using ::testing::Each;
using ::testing::ElementsAre;

model::PythonCode Code(LineTable table, int32_t first_line, const std::string& bytes) {
  model::PythonCode code;
  code.table = table;
  code.first_line = first_line;
  code.table_bytes = bytes;
  return code;
}

// One function as each version compiled it: a loop with a call over several lines in a try, a far
// jump of lines forwards, a loop in one line, a return over two lines.
struct Golden {
  const char* version;
  LineTable table;
  int32_t first_line;
  const char* bytes;  // hex
  std::vector<std::pair<uint32_t, int>>
      runs;  // line, 0 for none; bytes of code: what dis says of it
};
const Golden kGoldens[] = {
    // clang-format off
    {"3.8", LineTable::kLnotab, 5,
     "000204010801020104010201060102ff02fe0c060c7f001f08000a010a0102ff",
     {{7, 4}, {8, 8}, {9, 2}, {10, 4}, {11, 2}, {12, 6}, {13, 2}, {12, 2}, {10, 12}, {16, 12}, {174, 18}, {175, 10}, {176, 2}, {175, 8}}},
    {"3.9", LineTable::kLnotab, 5,
     "000204010801020104010201060102ff02fe0a06167f001f12010a0102ff",
     {{7, 4}, {8, 8}, {9, 2}, {10, 4}, {11, 2}, {12, 6}, {13, 2}, {12, 2}, {10, 10}, {16, 22}, {174, 18}, {175, 10}, {176, 2}, {175, 8}}},
    {"3.10", LineTable::kLines, 5,
     "040208010201040102010601020102ff0afe1406007f181f0a01020108ff",
     {{7, 4}, {8, 8}, {9, 2}, {10, 4}, {11, 2}, {12, 6}, {13, 2}, {12, 2}, {10, 10}, {16, 20}, {174, 24}, {175, 10}, {176, 2}, {175, 8}}},
    {"3.11", LineTable::kLocations, 5,
     "8000e00c0d8045d80f13f000080517f0000805178803f002070917d80c108f4b8a4bd81619dd181b"
     "984399089c08d8181af10301191bf00504190ef00004190ef100040d0ff400040d0ff000040d0ff0"
     "0c000d129051894a88458845f888459051894a88458845884588458845f07c04000b1090218a2988"
     "2990559861915a9055882590218a298829d80c11f000010c1af000011519f000011519d81317f003"
     "011519f100011519f400011519f000010c1af00001051a",
     {{5, 2}, {7, 4}, {8, 8}, {9, 2}, {10, 24}, {11, 2}, {12, 28}, {13, 2}, {12, 4}, {10, 20}, {16, 12}, {0, 2}, {16, 18}, {174, 34}, {175, 8}, {176, 2}, {175, 20}}},
    {"3.12", LineTable::kLocations, 5,
     "8000e00c0d8045d80f13f2000805178803f002070917d80c108f4b894bd81619dc181b98439b08d8"
     "181af10301191bf10504190ef400040d0ff00c000d129051894a8945f011080517f04c05000b1090"
     "218a2990559861915a9055882590218b29d80c11f000010c1af100011519d81317f403011519f000"
     "010c1af00001051af8f07f04000d129051894a8945fa",
     {{5, 2}, {7, 4}, {8, 10}, {9, 2}, {10, 22}, {11, 2}, {12, 20}, {13, 2}, {12, 4}, {10, 14}, {16, 12}, {8, 2}, {174, 32}, {175, 8}, {176, 2}, {175, 14}, {0, 2}, {16, 12}, {0, 6}}},
    {"3.13", LineTable::kLocations, 5,
     "8000e00c0d8045db0f138803f002070917d80c108f4b894bd81619dc181b98439b08d8181af10301"
     "191bf10504190ef400040d0ff00c000d129051894a8a45f111001014f04c05000b1090218b299055"
     "9861915a905590218d29d80c11f000010c1af100011519d91317f303011519f000010c1af0000105"
     "1af8f07f04000d129051894a8945fa",
     {{5, 2}, {7, 4}, {8, 10}, {9, 2}, {10, 22}, {11, 2}, {12, 20}, {13, 2}, {12, 4}, {10, 14}, {16, 14}, {8, 4}, {174, 36}, {175, 8}, {176, 4}, {175, 12}, {0, 2}, {16, 12}, {0, 6}}},
    // clang-format on
};

TEST(PythonLines, AreThoseThatEachVersionSays) {
  for (const Golden& golden : kGoldens) {
    std::vector<uint32_t> instructions, expected;
    for (const auto& [line, bytes] : golden.runs) {
      for (int i = 0; i < bytes; i += 2) {
        instructions.push_back(static_cast<uint32_t>(2 * instructions.size()));
        expected.push_back(line);
      }
    }
    EXPECT_EQ(
        PythonLines(Code(golden.table, golden.first_line, absl::HexStringToBytes(golden.bytes)),
                    instructions),
        expected)
        << golden.version;
  }
}

TEST(PythonLines, AnswerInTheOrderAsked) {
  const model::PythonCode code = Code(LineTable::kLnotab, 10, std::string("\4\1\4\1", 4));
  EXPECT_THAT(PythonLines(code, {8, 0, 4, 0}), ElementsAre(12, 10, 11, 10));
}

TEST(PythonLines, BeforeTheFirstInstructionAreTheFirstLine) {
  for (const LineTable table :
       {LineTable::kNone, LineTable::kLnotab, LineTable::kLines, LineTable::kLocations}) {
    EXPECT_THAT(PythonLines(Code(table, 7, "\4\1"), {model::PythonNode::kNoInstruction}),
                ElementsAre(7));
  }
}

TEST(PythonLines, OfInstructionsWithoutOneAreZero) {
  // Four bytes on line 10, four without a line, four on line 11.
  EXPECT_THAT(PythonLines(Code(LineTable::kLines, 10, std::string("\4\0\4\x80\4\1", 6)), {0, 4, 8}),
              ElementsAre(10, 0, 11));
  // Two instructions each: without columns on line 12, without a line, on line 11.
  EXPECT_THAT(PythonLines(Code(LineTable::kLocations, 10, "\xe9\x04\xf9\xe9\x03"), {2, 6, 8}),
              ElementsAre(12, 0, 11));
}

TEST(PythonLines, BeyondTheTableAreZero) {
  EXPECT_THAT(PythonLines(Code(LineTable::kLines, 10, std::string("\4\0", 2)), {2, 4}),
              ElementsAre(10, 0));
  EXPECT_THAT(PythonLines(Code(LineTable::kLocations, 10, "\xe8\x02"), {0, 2}), ElementsAre(11, 0));
  EXPECT_THAT(PythonLines(Code(LineTable::kNone, 10, "\xe8\x02"), {0}), ElementsAre(0));
}

TEST(PythonLines, TakeAnyBytesForATable) {
  uint64_t state = 1;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes;
    for (int i = 0; i < round % 40; ++i) {
      state = state * 6364136223846793005 + 1442695040888963407;
      bytes.push_back(static_cast<char>(state >> 56));
    }
    for (const LineTable table : {LineTable::kLnotab, LineTable::kLines, LineTable::kLocations})
      EXPECT_EQ(PythonLines(Code(table, -5, bytes), {0, 7, 1 << 29}).size(), 3U);
  }
}

TEST(PythonLines, ThatNoSourceHasAreZero) {
  // Far beyond the largest line there can be, and far below the first.
  EXPECT_THAT(PythonLines(Code(LineTable::kLocations, 1, "\xe8\x7e\x7f\x7f\x7f\x7f\x3f"), {0}),
              Each(0U));
  EXPECT_THAT(PythonLines(Code(LineTable::kLocations, 1, "\xe8\x7f\x7f\x7f\x7f\x7f\x3f"), {0}),
              Each(0U));
}

}  // namespace
}  // namespace heapecho::symbolizer

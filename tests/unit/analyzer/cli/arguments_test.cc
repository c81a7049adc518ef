// SPDX-License-Identifier: Apache-2.0
// The words after a command's name.
#include "analyzer/cli/arguments.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapecho::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<Arguments> Parse(const std::vector<std::string>& words,
                                Operands operands = Operands::kFiles) {
  const std::vector<Option> options = {
      {"--lines", "", ""}, {"--value", "live|peak", ""}, {"-o", "FILE", ""}};
  return Arguments::Parse(options, operands, words);
}

TEST(Arguments, TakeAValueAsTheNextWordOrAfterAnEqualsSign) {
  const absl::StatusOr<Arguments> arguments =
      Parse({"--value", "peak", "a", "-o", "x=y", "--lines", "b"});
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  EXPECT_EQ(arguments->Get("--value"), "peak");
  EXPECT_EQ(arguments->Get("-o"), "x=y");
  EXPECT_TRUE(arguments->Has("--lines"));
  EXPECT_THAT(arguments->operands(), ElementsAre("a", "b"));
  EXPECT_EQ(Parse({"--value=a=b"})->Get("--value"), "a=b");
  EXPECT_EQ(Parse({"--value="})->Get("--value", "fallback"), "");
  EXPECT_EQ(Parse({})->Get("--value", "fallback"), "fallback");
}

TEST(Arguments, NameTheOptionThatIsUnknown) {
  EXPECT_THAT(Parse({"a", "--colour=red"}).status().message(), HasSubstr("--colour"));
  EXPECT_THAT(Parse({"-x"}).status().message(), HasSubstr("-x"));
  EXPECT_THAT(Parse({"--value2", "x"}).status().message(), HasSubstr("--value2"));
}

TEST(Arguments, NameTheOptionThatLacksItsValueOrHasOneTooMany) {
  EXPECT_THAT(Parse({"a", "--value"}).status().message(),
              HasSubstr("--value needs a value: live|peak"));
  EXPECT_THAT(Parse({"--lines=yes"}).status().message(), HasSubstr("--lines takes no value"));
}

TEST(Arguments, BelongToNobodyAfterTwoDashes) {
  EXPECT_THAT(Parse({"--lines", "--", "--value", "--", "-x"})->operands(),
              ElementsAre("--value", "--", "-x"));
}

TEST(Arguments, OfACommandLineEndWhereItBegins) {
  const absl::StatusOr<Arguments> arguments =
      Parse({"--lines", "python", "--value", "x", "--", "-o"}, Operands::kCommand);
  ASSERT_TRUE(arguments.ok());
  EXPECT_THAT(arguments->operands(), ElementsAre("python", "--value", "x", "--", "-o"));
  EXPECT_FALSE(arguments->Has("--value"));
}

TEST(Arguments, HaveTheLastValueOfAnOptionGivenTwice) {
  EXPECT_EQ(Parse({"-o", "a", "-o", "b"})->Get("-o"), "b");
}

TEST(Arguments, TakeADashAloneForAFile) { EXPECT_THAT(Parse({"-"})->operands(), ElementsAre("-")); }

}  // namespace
}  // namespace heapecho::cli

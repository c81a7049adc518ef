// SPDX-License-Identifier: Apache-2.0
// Amounts as people read them.
#include "analyzer/output/units.h"

#include <cmath>

#include "gtest/gtest.h"

namespace heapecho::output {
namespace {

TEST(HumanBytes, HasThreeDigitsInTheLargestUnitThatFits) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(917), "917 B");
  EXPECT_EQ(HumanBytes(1024), "1.00 KiB");
  EXPECT_EQ(HumanBytes(12.34 * 1024), "12.3 KiB");
  EXPECT_EQ(HumanBytes(123.4 * 1024 * 1024), "123 MiB");
  EXPECT_EQ(HumanBytes(1.96 * 1024 * 1024 * 1024), "1.96 GiB");
}

TEST(HumanBytes, RoundsUpIntoTheNextUnitRatherThanTo1024OfTheSmaller) {
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1023.6), "1.00 KiB");
  EXPECT_EQ(HumanBytes(9.996 * 1024), "10.0 KiB");
  EXPECT_EQ(HumanBytes(99.96 * 1024), "100 KiB");
}

TEST(HumanBytes, OfNoAmountAtAllIsNothing) {
  EXPECT_EQ(HumanBytes(-5), "0 B");
  EXPECT_EQ(HumanBytes(std::nan("")), "0 B");
}

TEST(HumanCount, KeepsThousandsApart) {
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999.4), "999");
  EXPECT_EQ(HumanCount(1000), "1,000");
  EXPECT_EQ(HumanCount(1234567.2), "1,234,567");
}

TEST(HumanShare, OfNothingIsNothing) {
  EXPECT_EQ(HumanShare(1, 4), "25.0 %");
  EXPECT_EQ(HumanShare(1, 0), "0.0 %");
}

TEST(HumanEstimate, StandsWithItsStandardError) {
  const model::Estimate estimate = {2048, 12345, 512.0 * 512.0, 81};
  EXPECT_EQ(HumanEstimate(estimate, model::Unit::kBytes), "2.00 KiB ± 512 B");
  EXPECT_EQ(HumanEstimate(estimate, model::Unit::kObjects), "12,345 ± 9 objects");
}

TEST(HumanChange, HasItsSignAndItsError) {
  EXPECT_EQ(HumanChange(2048, 1024, model::Unit::kBytes), "+2.00 KiB ± 1.00 KiB");
  EXPECT_EQ(HumanChange(-2048, 1024, model::Unit::kBytes), "-2.00 KiB ± 1.00 KiB");
  EXPECT_EQ(HumanChange(-1200, 3, model::Unit::kObjects), "-1,200 ± 3 objects");
  EXPECT_EQ(HumanRise(200, 300), "+50.0 %");
  EXPECT_EQ(HumanRise(200, 100), "-50.0 %");
  EXPECT_EQ(HumanRise(0, 100), "");
}

TEST(SideNames, OfWhatGrewAreWhatWentAndWhatCame) {
  EXPECT_EQ(SideNamesOf(model::Value::kLive).before, "before");
  EXPECT_EQ(SideNamesOf(model::Value::kGrown).before, "went");
  EXPECT_EQ(SideNamesOf(model::Value::kLast).after, "came");
}

}  // namespace
}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/layout.h"

#include "gtest/gtest.h"

namespace heapecho::recording {
namespace {

class LayoutOfBudget : public testing::TestWithParam<uint64_t> {};

TEST_P(LayoutOfBudget, StaysWithinItAndDoesNotOverlap) {
  const Layout layout = LayoutFor(GetParam());
  EXPECT_LE(layout.file_size, GetParam());
  EXPECT_GE(layout.file_size, GetParam() - 2 * layout.block_bytes);
  uint64_t end = wire::kHeaderSize;
  for (uint32_t i = 0; i < layout.section_count; ++i) {
    const wire::Section& section = layout.sections[i];
    EXPECT_EQ(section.offset % 4096, 0u);
    EXPECT_EQ(section.offset, end) << i;
    EXPECT_GT(section.size, 0u);
    end = section.offset + section.size;
  }
  EXPECT_EQ(end, layout.file_size);
}

TEST_P(LayoutOfBudget, HasRoomForItsTables) {
  const Layout layout = LayoutFor(GetParam());
  using wire::SectionKind;
  EXPECT_GE(layout.Find(SectionKind::kStacks).size, layout.stacks * sizeof(wire::StackRecord));
  EXPECT_GE(layout.Find(SectionKind::kNativeNodes).size, layout.native_nodes * sizeof(wire::NodeRecord));
  EXPECT_GE(layout.Find(SectionKind::kLive).size, layout.live * sizeof(wire::LiveRecord));
  EXPECT_GE(layout.Find(SectionKind::kThreads).size, layout.threads * sizeof(wire::ThreadRecord));
  EXPECT_GE(layout.Find(SectionKind::kRanges).size, layout.ranges * sizeof(wire::RangeRecord));
  EXPECT_LT(layout.threads, UINT16_MAX);  // hook/thread_state.h
  EXPECT_EQ(layout.live & (layout.live - 1), 0u);
  EXPECT_LE(layout.live, 32768u);
  // Every writer's block, and as many again to move on to.
  EXPECT_GE(layout.Find(SectionKind::kEvents).size, 2u * 32 * layout.block_bytes);
}

INSTANTIATE_TEST_SUITE_P(Of, LayoutOfBudget,
                         testing::Values(kSmallestBudget, kLargestTmpfsBudget, 10 << 20, kDefaultBudget,
                                         uint64_t{200} << 20, kLargestBudget));

TEST(LayoutOfBudget, IsClampedToWhatMakesSense) {
  EXPECT_LE(LayoutFor(1).file_size, kSmallestBudget);
  EXPECT_LE(LayoutFor(uint64_t{1} << 40).file_size, kLargestBudget);
}

}  // namespace
}  // namespace heapecho::recording

// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/python_walk.h"

#include <sys/mman.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/preload/python/fake_python.h"

namespace heapecho::stack {
namespace {

class PythonWalks : public testing::TestWithParam<uint32_t> {
 protected:
  PythonWalk Walk(uintptr_t thread, size_t room = kMaxPythonFrames) {
    return WalkPython(fake_.interpreter(), thread, frames_, room);
  }
  // Walks and merges; which native frames evaluate, by index.
  std::vector<size_t> Merge(uintptr_t thread) {
    walk_ = Walk(thread);
    MergeFrames(fake_.interpreter(), fake_.sp(), fake_.native().data(),
                static_cast<uint32_t>(fake_.native().size()), frames_, walk_.count);
    std::vector<size_t> evaluating;
    for (size_t i = 0; i < fake_.native().size(); ++i) {
      if ((fake_.native()[i].ip & wire::kEvaluationFrame) != 0) evaluating.push_back(i);
    }
    return evaluating;
  }
  // The code of the walk's frames, innermost first, a 0 behind each that ends a group.
  std::vector<uintptr_t> Groups() const {
    std::vector<uintptr_t> groups;
    for (uint32_t i = 0; i < walk_.count; ++i) {
      groups.push_back(frames_[i].code);
      if ((frames_[i].instruction & wire::kGroupEntry) != 0) groups.push_back(0);
    }
    return groups;
  }
  uint32_t Instruction(uint32_t frame) const { return frames_[frame].instruction & wire::kInstructionMask; }
  bool EvaluatesManyFrames() const {
    return fake_.layout().chain == PythonChain::kEntryFlag || fake_.layout().chain == PythonChain::kShims;
  }

  FakePython fake_{GetParam()};
  PythonFrame frames_[kMaxPythonFrames] = {};
  PythonWalk walk_ = {};
};

INSTANTIATE_TEST_SUITE_P(Version, PythonWalks, testing::Range(8u, 16u),
                         [](const auto& version) { return "3_" + std::to_string(version.param); });

TEST_P(PythonWalks, GiveEveryFrameWithItsInstruction) {
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b");
  const uintptr_t thread = fake_.Run({{{.code = a, .offset = 20}}, {{.code = b, .offset = 300}}});
  walk_ = Walk(thread);
  ASSERT_EQ(walk_.count, 2u);
  EXPECT_FALSE(walk_.truncated);
  EXPECT_EQ(frames_[0].code, a);
  EXPECT_EQ(Instruction(0), 20u);
  EXPECT_EQ(frames_[1].code, b);
  EXPECT_EQ(Instruction(1), 300u);
}

TEST_P(PythonWalks, PutEachEvaluationInItsNativeFrame) {
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run({{{a}}, {{b}}, {{c}}});
  EXPECT_EQ(Merge(thread), (std::vector<size_t>{2, 5, 8}));
  EXPECT_EQ(Groups(), (std::vector<uintptr_t>{a, 0, b, 0, c, 0}));
}

TEST_P(PythonWalks, KeepFramesOfOneEvaluationTogether) {
  if (!EvaluatesManyFrames()) GTEST_SKIP() << "an evaluation runs one frame up to 3.10";
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run({{{a}, {b}}, {{c}, {a}, {b}}});
  EXPECT_EQ(Merge(thread), (std::vector<size_t>{2, 5}));
  EXPECT_EQ(Groups(), (std::vector<uintptr_t>{a, b, 0, c, a, b, 0}));
}

TEST_P(PythonWalks, SayWhenAFrameHasNotBegun) {
  const uintptr_t a = fake_.Code(U"a");
  const uintptr_t thread = fake_.Run({{{.code = a, .offset = -2, .generator = true}}});
  walk_ = Walk(thread);
  ASSERT_EQ(walk_.count, 1u);
  EXPECT_EQ(Instruction(0), wire::kNoInstruction);
}

TEST_P(PythonWalks, HideFramesThatAreBeingMadeButNoGenerators) {
  if (!EvaluatesManyFrames()) GTEST_SKIP() << "a frame is linked when it is whole up to 3.10";
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run(
      {{{.code = a, .offset = 2}}, {{.code = b, .offset = 2}, {.code = c, .offset = 2, .generator = true}}});
  EXPECT_EQ(Merge(thread), (std::vector<size_t>{5}));
  EXPECT_EQ(Groups(), (std::vector<uintptr_t>{c, 0}));
}

TEST_P(PythonWalks, AreEmptyWhereNothingRuns) {
  const uintptr_t thread = fake_.Run({});
  walk_ = Walk(thread);
  EXPECT_EQ(walk_.count, 0u);
  EXPECT_FALSE(walk_.truncated);
}

TEST_P(PythonWalks, KeepTheInnermostFramesWhenThereIsNoMoreRoom) {
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run({{{a}}, {{b}}, {{c}}});
  walk_ = Walk(thread, 2);
  EXPECT_EQ(walk_.count, 2u);
  EXPECT_TRUE(walk_.truncated);
  EXPECT_EQ(frames_[1].code, b);
}

// A recursion deeper than the room: what is kept of it still has its place among the native frames.
TEST_P(PythonWalks, PlaceAnEvaluationOfWhichNotAllIsKept) {
  if (!EvaluatesManyFrames()) GTEST_SKIP() << "an evaluation runs one frame up to 3.10";
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b");
  const FakeEvaluation deep(kMaxPythonFrames + 300, FakeFrame{b});
  const uintptr_t thread = fake_.Run({{{a}}, deep, {{a}}});
  EXPECT_EQ(Merge(thread), (std::vector<size_t>{2, 5}));
  EXPECT_EQ(walk_.count, kMaxPythonFrames);
  EXPECT_TRUE(walk_.truncated);
  EXPECT_FALSE(walk_.nonsense);
  EXPECT_NE(frames_[kMaxPythonFrames - 1].instruction & wire::kGroupEntry, 0u);
}

TEST_P(PythonWalks, EndAtWhatIsNoFrame) {
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b");
  for (const uintptr_t nonsense : {uintptr_t{1}, uintptr_t{8}, ~uintptr_t{7}}) {
    const uintptr_t thread = fake_.Run({{{a}}, {{b}}});
    const uintptr_t frame = fake_.frames().back();
    FakePython::At<uintptr_t>(frame + fake_.layout().frame_previous) = nonsense;
    walk_ = Walk(thread);
    EXPECT_EQ(walk_.count, 2u);
    EXPECT_TRUE(walk_.nonsense);
  }
}

TEST_P(PythonWalks, EndAtWhatIsNoCode) {
  const uintptr_t a = fake_.Code(U"a");
  for (const uintptr_t nonsense : {uintptr_t{0}, uintptr_t{8}, fake_.String(U"text")}) {
    const uintptr_t thread = fake_.Run({{{a}}, {{a}}});
    FakePython::At<uintptr_t>(fake_.frames().back() + fake_.layout().frame_code) = nonsense;
    walk_ = Walk(thread);
    EXPECT_EQ(walk_.count, 1u);
    EXPECT_TRUE(walk_.nonsense);
  }
}

TEST_P(PythonWalks, EndInAChainThatIsACircle) {
  const uintptr_t a = fake_.Code(U"a");
  const uintptr_t thread = fake_.Run({{{a}}, {{a}}});
  FakePython::At<uintptr_t>(fake_.frames().back() + fake_.layout().frame_previous) = fake_.frames().front();
  walk_ = Walk(thread);
  EXPECT_GE(walk_.count, 2u);
  EXPECT_TRUE(walk_.truncated);
}

// A JIT's code has no call frame information, a coroutine's stack ends early: evaluations may be missing.
TEST_P(PythonWalks, LeaveOverWhatNoNativeFrameEvaluates) {
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run({{{a}}, {{b}}, {{c}}});
  fake_.native().resize(4);
  EXPECT_EQ(Merge(thread), (std::vector<size_t>{2}));
  EXPECT_EQ(Groups(), (std::vector<uintptr_t>{a, 0, b, c}));
}

TEST_P(PythonWalks, JoinWhatHasNoEvaluationToTheNext) {
  if (fake_.layout().chain == PythonChain::kFrameObjects) GTEST_SKIP() << "evaluations leave no mark up to 3.9";
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run({{{a}}, {{b}}, {{c}}});
  fake_.native()[5].ip = 0x20000;  // as if another module's: the mark lies there by chance
  EXPECT_EQ(Merge(thread), (std::vector<size_t>{2, 8}));
  EXPECT_EQ(Groups(), (std::vector<uintptr_t>{a, 0, b, c, 0}));
}

// The outer frames of the greenlet that this one came from are still on the native stack.
TEST_P(PythonWalks, LeaveNativeEvaluationsOutsideOfTheChainAlone) {
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run({{{a}}, {{b}}, {{c}}});
  FakePython::At<uintptr_t>(fake_.frames()[1] + fake_.layout().frame_previous) = 0;
  const std::vector<size_t> expected =
      fake_.layout().chain == PythonChain::kShims ? std::vector<size_t>{2} : std::vector<size_t>{2, 5};
  EXPECT_EQ(Merge(thread), expected);
}

TEST_P(PythonWalks, RecogniseEvaluationsThatTheCompilerMovedAway) {
  const uintptr_t a = fake_.Code(U"a"), b = fake_.Code(U"b"), c = fake_.Code(U"c");
  const uintptr_t thread = fake_.Run({{{a}}, {{b}}, {{c}}});
  fake_.native()[5].ip = fake_.interpreter().start + 0x50;
  EXPECT_EQ(Merge(thread), (std::vector<size_t>{2, 5, 8}));
  EXPECT_EQ(Groups(), (std::vector<uintptr_t>{a, 0, b, 0, c, 0}));
}

TEST_P(PythonWalks, AreProvenByAnInterpreterThatIsAsItShouldBe) {
  const uintptr_t a = fake_.Code(U"a");
  EXPECT_EQ(ProvePython(fake_.interpreter(), fake_.Run({{{a}}}), frames_, kMaxPythonFrames),
            PythonProof::kProven);
}

TEST_P(PythonWalks, AreDisprovenByAnotherThreadsState) {
  const uintptr_t thread = fake_.Run({{{fake_.Code(U"a")}}});
  FakePython::At<uintptr_t>(thread + fake_.layout().thread_id) += 1;
  EXPECT_EQ(ProvePython(fake_.interpreter(), thread, frames_, kMaxPythonFrames), PythonProof::kOtherThread);
}

TEST_P(PythonWalks, AreDisprovenByCodeWithoutNames) {
  const uintptr_t a = fake_.Code(U"a"), bytes = fake_.Bytes("no str");
  FakePython::At<uintptr_t>(a + fake_.layout().code_file) = bytes;
  EXPECT_EQ(ProvePython(fake_.interpreter(), fake_.Run({{{a}}}), frames_, kMaxPythonFrames),
            PythonProof::kNoCode);
}

TEST_P(PythonWalks, AreDisprovenByMemoryThatCannotBeRead) {
  void* const hole = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(hole, MAP_FAILED);
  const uintptr_t unreadable = reinterpret_cast<uintptr_t>(hole) + 512;
  const uintptr_t a = fake_.Code(U"a");
  uintptr_t thread = fake_.Run({{{a}}});
  FakePython::At<uintptr_t>(fake_.frames()[0] + fake_.layout().frame_previous) = unreadable;
  EXPECT_NE(ProvePython(fake_.interpreter(), thread, frames_, kMaxPythonFrames), PythonProof::kProven);
  thread = fake_.Run({{{a}}});
  FakePython::At<uintptr_t>(fake_.frames()[0] + fake_.layout().frame_code) = unreadable;
  EXPECT_NE(ProvePython(fake_.interpreter(), thread, frames_, kMaxPythonFrames), PythonProof::kProven);
  thread = fake_.Run({{{a}}});
  FakePython::At<uintptr_t>(a + fake_.layout().code_name) = unreadable;
  EXPECT_EQ(ProvePython(fake_.interpreter(), thread, frames_, kMaxPythonFrames), PythonProof::kNoCode);
  EXPECT_NE(ProvePython(fake_.interpreter(), unreadable & ~uintptr_t{4095}, frames_, kMaxPythonFrames),
            PythonProof::kProven);
  munmap(hole, 4096);
}

TEST(PythonLayouts, AreKnownFrom38To315AndNoOthers) {
  EXPECT_EQ(ExpectedPythonLayout(7), nullptr);
  for (uint32_t minor = 8; minor <= 15; ++minor) EXPECT_NE(ExpectedPythonLayout(minor), nullptr);
  EXPECT_EQ(ExpectedPythonLayout(16), nullptr);
}

}  // namespace
}  // namespace heapecho::stack

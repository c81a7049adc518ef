// SPDX-License-Identifier: Apache-2.0
// Native and Python frames of one stack, in the order in which they really called each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/aggregator/aggregator.h"
#include "tests/unit/analyzer/aggregator/recordings.h"

namespace heapecho::aggregator {
namespace {

using ::heapecho::testing::InMemoryRecording;
using ::heapecho::testing::LineByInstruction;
using ::heapecho::testing::NameByAddress;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// Everything that is there, so that the order alone is looked at.
const Options kWhole = {.internals = true};

model::Report Aggregate(std::vector<model::Recording> recordings, const Options& options) {
  Aggregator aggregator(options);
  for (model::Recording& recording : recordings)
    aggregator.Add(std::move(recording), model::ProcessState::kKilled);
  return aggregator.Finish(NameByAddress, LineByInstruction);
}

// "f10;view:7": root first, Python frames with their lines.
std::vector<std::string> StacksOf(const model::Profile& profile) {
  std::vector<std::string> stacks;
  for (const model::Sample& sample : profile.samples) {
    std::string text;
    for (const model::FrameId id : sample.frames) {
      const model::Frame& frame = profile.frames[id.value];
      absl::StrAppend(&text, text.empty() ? "" : ";", frame.function);
      if (frame.kind == model::Frame::Kind::kPython) absl::StrAppend(&text, ":", frame.line);
    }
    stacks.push_back(std::move(text));
  }
  return stacks;
}

TEST(PythonFrames, TakeThePlaceOfTheFrameThatEvaluatesThem) {
  InMemoryRecording recording(1);
  const uint32_t main = recording.AddCode("main", "/app.py");
  const uint32_t view = recording.AddCode("view", "/app.py");
  recording.AddBlock(recording.AddMixedStack({{0x10}, {0x20, true}, {0x30}, {0x40, true}, {0x50}},
                                             {{main, 1}, {view, 2}}),
                     100, 1);
  EXPECT_THAT(StacksOf(Aggregate({*recording}, kWhole).profile),
              ElementsAre("f10;main:1;f30;view:2;f50"));
}

TEST(PythonFrames, OfOneEvaluationStandTogether) {
  InMemoryRecording recording(1);
  const uint32_t code = recording.AddCode("f", "/app.py");
  recording.AddBlock(
      recording.AddMixedStack(
          {{0x10, true}, {0x20}, {0x30, true}, {0x40}},
          {{code, 1}, {code, 2, false}, {code, 3}, {code, 4, false}, {code, 5, false}}),
      100, 1);
  EXPECT_THAT(StacksOf(Aggregate({*recording}, kWhole).profile),
              ElementsAre("f:1;f:2;f20;f:3;f:4;f:5;f40"));
}

TEST(PythonFrames, WithoutTheirNativeOnesAreTheOutermost) {
  InMemoryRecording recording(1);
  const uint32_t code = recording.AddCode("f", "/app.py");
  recording.AddBlock(
      recording.AddMixedStack({{0x10}, {0x20, true}, {0x30}}, {{code, 1}, {code, 2}, {code, 3}}),
      100, 1);
  EXPECT_THAT(StacksOf(Aggregate({*recording}, kWhole).profile),
              ElementsAre("f:1;f:2;f10;f:3;f30"));
}

TEST(PythonFrames, MakeABrokenWalkWholeWhereTheyGoOnOutsideOfIt) {
  InMemoryRecording recording(1);
  const uint32_t code = recording.AddCode("f", "/app.py");
  // As of code that a JIT made, which no native walk gets over.
  const model::StackId goes_on =
      recording.AddMixedStack({{0x10}, {0x20, true}, {0x30}}, {{code, 1}, {code, 2}});
  const model::StackId does_not = recording.AddMixedStack({{0x10}, {0x20, true}}, {{code, 3}});
  for (const model::StackId stack : {goes_on, does_not}) {
    recording->stacks[stack.value].broken = true;
    recording.AddBlock(stack, 100, 1);
  }
  EXPECT_THAT(StacksOf(Aggregate({*recording}, kWhole).profile),
              UnorderedElementsAre("f:1;f10;f:2;f30", "[stack broken];f10;f:3"));
}

TEST(PythonFrames, LeaveAnEvaluationThatHasNoneAsItIs) {
  InMemoryRecording recording(1);
  const uint32_t code = recording.AddCode("f", "/app.py");
  recording.AddBlock(recording.AddMixedStack({{0x10, true}, {0x20, true}, {0x30}}, {{code, 3}}),
                     100, 1);
  EXPECT_THAT(StacksOf(Aggregate({*recording}, kWhole).profile), ElementsAre("f10;f:3;f30"));
}

TEST(PythonFrames, OfAnyCodeHaveItsFileAndTheLineOfTheirInstruction) {
  InMemoryRecording recording(1);
  const uint32_t code = recording.AddCode("View.get", "/srv/shop/views.py");
  recording.AddBlock(recording.AddMixedStack({{0x10, true}}, {{code, 88}}), 100, 1);
  const model::Profile profile = Aggregate({*recording}, {}).profile;
  ASSERT_EQ(profile.frames.size(), 1U);
  EXPECT_EQ(profile.frames[0].kind, model::Frame::Kind::kPython);
  EXPECT_EQ(profile.frames[0].function, "View.get");
  EXPECT_EQ(profile.frames[0].file, "/srv/shop/views.py");
  EXPECT_EQ(profile.frames[0].line, 88U);
}

TEST(PythonFrames, OfUnknownCodeSaySo) {
  InMemoryRecording recording(1);
  recording.AddBlock(recording.AddMixedStack({{0x10, true}, {0x20}}, {{0, 88}}), 100, 1);
  const model::Profile profile = Aggregate({*recording}, {.native = Native::kNone}).profile;
  EXPECT_THAT(StacksOf(profile), ElementsAre("[unknown code]"));
}

TEST(PythonFrames, OfSeveralProcessesAreOneWhereTheirCodeIs) {
  InMemoryRecording one(1), two(2);
  two.AddCode("other", "/app.py");
  one.AddBlock(one.AddMixedStack({{0x10, true}}, {{one.AddCode("f", "/app.py"), 1}}), 100, 1);
  two.AddBlock(two.AddMixedStack({{0x10, true}}, {{two.AddCode("f", "/app.py"), 1}}), 10, 1);
  const model::Profile profile = Aggregate({*one, *two}, {}).profile;
  ASSERT_THAT(StacksOf(profile), ElementsAre("f:1"));
  EXPECT_EQ(profile.samples[0].estimate.bytes, 110);
}

TEST(PythonFrames, SayWhichRequestAStackAnswers) {
  InMemoryRecording recording(1);
  const uint32_t server = recording.AddCode("handle_request", "/x/gunicorn/workers/sync.py");
  const uint32_t view = recording.AddCode("orders", "/srv/shop/views.py");
  recording.AddBlock(recording.AddMixedStack({{0x10, true}}, {{server, 1, true}, {view, 2, false}}),
                     100, 1);
  recording.AddBlock(recording.AddStack({0x20}), 100, 1);
  EXPECT_THAT(StacksOf(Aggregate({*recording}, {.by = By::kView}).profile),
              ElementsAre("[no request];f20", "orders (shop/views.py);handle_request:1;orders:2"));
}

// A thread of a pool, whose frames are f10 to f30, works for what load() of the application reads.
model::Recording PoolThread() {
  InMemoryRecording recording(1);
  const uint32_t server = recording.AddCode("handle_request", "/x/gunicorn/workers/sync.py");
  const uint32_t view = recording.AddCode("orders", "/srv/shop/views.py");
  const uint32_t library = recording.AddCode("read_table", "/x/site-packages/pyarrow/parquet.py");
  const model::StackId stack = recording.AddMixedStack({{0x10}, {0x20}, {0x30}}, {});
  recording.SetBehalf(stack, {{server, 1}, {view, 2}, {library, 3}});
  recording.AddBlock(stack, 100, 1);
  return *recording;
}

TEST(Behalf, StandsOutsideOfTheThreadThatWorks) {
  const model::Profile profile = Aggregate({PoolThread()}, {}).profile;
  EXPECT_THAT(StacksOf(profile), ElementsAre("handle_request;orders;read_table;f10;f20;f30"));
  for (size_t i = 0; i < 3; ++i) {
    const model::Frame& frame = profile.frames[profile.samples[0].frames[i].value];
    EXPECT_EQ(frame.kind, model::Frame::Kind::kBehalf);
    EXPECT_EQ(frame.line, i + 1);
  }
}

TEST(Behalf, IsTheLineOfTheApplicationAndTheView) {
  const model::Report report = Aggregate({PoolThread()}, {.by = By::kView});
  ASSERT_EQ(report.own.size(), 1U);
  EXPECT_EQ(report.profile.frames[report.own[0].frame.value].function, "orders");
  EXPECT_THAT(StacksOf(report.profile),
              ElementsAre("orders (shop/views.py);handle_request;orders;read_table;f10;f20;f30"));
}

TEST(Behalf, HidesHowAThreadBegins) {
  InMemoryRecording recording(1);
  const uint32_t view = recording.AddCode("orders", "/srv/shop/views.py");
  const model::StackId stack = recording.AddMixedStack({{0x10}, {0x20}}, {});
  recording.SetBehalf(stack, {{view, 2}});
  recording.AddBlock(stack, 100, 1);
  Aggregator aggregator({});
  aggregator.Add(*recording, model::ProcessState::kKilled);
  const auto start_at_0x10 = [](const model::Module& module, absl::Span<const uint64_t> addresses) {
    std::vector<std::vector<model::Frame>> named = NameByAddress(module, addresses);
    for (size_t i = 0; i < addresses.size(); ++i) {
      if (addresses[i] == 0x10) named[i][0].function = "start_thread";
    }
    return named;
  };
  EXPECT_THAT(StacksOf(aggregator.Finish(start_at_0x10, LineByInstruction).profile),
              ElementsAre("orders;f20"));
}

TEST(RecordingLibrary, IsNotAmongTheFrames) {
  InMemoryRecording recording(1);
  model::Module library;
  library.id = 2;
  library.path = "/opt/libheapecho.so";
  recording->modules.push_back(library);
  recording.AddBlock(recording.AddMixedStack({{0x10}, {0x20, false, 2}, {0x30}}, {}), 100, 1);
  EXPECT_THAT(StacksOf(Aggregate({*recording}, kWhole).profile), ElementsAre("f10;f30"));
}

TEST(PythonFrames, AreMissedWithAWordAboutWhy) {
  InMemoryRecording recording(1);
  recording->identity.python_walk = "native-only: this Python has no GIL";
  EXPECT_THAT(Aggregate({*recording}, {}).profile.warnings,
              ElementsAre(HasSubstr("native-only: this Python has no GIL")));
  recording->identity.python_walk = "full";
  EXPECT_THAT(Aggregate({*recording}, {}).profile.warnings, ElementsAre());
}

}  // namespace
}  // namespace heapecho::aggregator

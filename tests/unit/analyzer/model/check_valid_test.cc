// SPDX-License-Identifier: Apache-2.0
// Each thing that CheckValid() says is not so, one broken recording each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "analyzer/model/recording.h"

namespace heapecho::model {
namespace {

using ::testing::HasSubstr;

// Two modules, a chain of three frames, one of two Python frames, two stacks, a block and an event.
Recording Valid() {
  Recording recording;
  recording.last_event_ns = 100;
  recording.modules = {{.id = 1, .start = 10, .end = 20}, {.id = 4}};
  recording.native_nodes = {
      {}, {.parent = 0, .module = 1}, {.parent = 1, .module = 4}, {.parent = 2}};
  recording.python_code = {{}, {.name = "f", .table = LineTable::kLnotab}};
  recording.python_nodes = {{}, {.parent = 0, .code = 1}, {.parent = 1, .code = 0}};
  recording.stacks = {{}, {.native_leaf = 3, .python_leaf = 2}};
  recording.live_blocks = {{.address = 1, .size = 1, .time_ns = 100, .stack = {1}}};
  recording.events = {{.time_ns = 50, .stack = {1}}, {.time_ns = 50}, {.time_ns = 100}};
  recording.sections = {{.name = "stacks", .size = 256, .record_size = 128, .records = 2}};
  return recording;
}

class CheckValid : public ::testing::Test {
 protected:
  void ExpectWrong(const std::string& what) {
    EXPECT_THAT(recording_.CheckValid(), HasSubstr(what));
  }

  Recording recording_ = Valid();
};

TEST_F(CheckValid, AcceptsAWholeRecording) { EXPECT_EQ(recording_.CheckValid(), ""); }

TEST_F(CheckValid, AcceptsAnEmptyOneWithItsRootAndItsUnknownStack) {
  Recording empty;
  empty.native_nodes = {{}};
  empty.stacks = {{}};
  EXPECT_EQ(empty.CheckValid(), "");
}

TEST_F(CheckValid, FindsThreadsThatAreOutOfOrder) {
  recording_.threads = {{.id = 7, .first_seen_ns = 5}, {.id = 7, .first_seen_ns = 9}, {.id = 8}};
  EXPECT_EQ(recording_.CheckValid(), "");
  recording_.threads[0].first_seen_ns = 10;
  ExpectWrong("thread 1 is out of order");
}

TEST_F(CheckValid, FindsAHistoryThatIsOutOfOrderOrHoldsNoNumbers) {
  const auto point = [](uint64_t from, uint64_t to) {
    HistoryPoint made;
    made.from_ns = from;
    made.time_ns = to;
    return made;
  };
  recording_.history = {point(10, 20), point(21, 30)};
  recording_.history[1].stacks = {{.stack = {0}}, {.stack = {1}}};
  EXPECT_EQ(recording_.CheckValid(), "");
  const std::vector<HistoryPoint> sound = recording_.history;
  recording_.history[0].from_ns = 21;
  ExpectWrong("point 0 of the history ends before it starts");
  recording_.history = {point(10, 21), point(21, 30)};
  ExpectWrong("point 1 of the history is out of order");
  recording_.history = {point(10, 101)};
  ExpectWrong("is younger than the last event");
  recording_.history = sound;
  recording_.history[1].stacks[1].stack = {2};
  ExpectWrong("names no such stack");
  recording_.history = sound;
  recording_.history[1].stacks[0].stack = {1};
  ExpectWrong("has stacks out of order");
  recording_.history = sound;
  recording_.history[1].domain_live[2] = std::numeric_limits<double>::quiet_NaN();
  ExpectWrong("has amounts that are no numbers");
  recording_.history = sound;
  recording_.history[1].stacks[0].bytes_variance = -1;
  ExpectWrong("has amounts that are no numbers");
}

TEST_F(CheckValid, FindsAPythonFrameOfNoCode) {
  recording_.python_nodes[2].code = 2;
  ExpectWrong("Python node 2 has no such code");
}

TEST_F(CheckValid, FindsAPythonParentOutOfRange) {
  recording_.python_nodes[2].parent = 3;
  ExpectWrong("Python node 2 has no such parent");
}

TEST_F(CheckValid, FindsACircleOfPythonFrames) {
  recording_.python_nodes[1].parent = 2;
  ExpectWrong("the chain of Python node 1 is too long");
}

TEST_F(CheckValid, FindsAPythonLeafOutOfRange) {
  recording_.stacks[1].python_leaf = 3;
  ExpectWrong("stack 1 has no such leaf");
  recording_.stacks[1].python_leaf = 1;
  recording_.python_nodes.clear();
  ExpectWrong("no root Python node");
  recording_.python_code.clear();
  ExpectWrong("stack 1 has no such leaf");
}

TEST_F(CheckValid, FindsPythonFramesOfTheUnknownStack) {
  recording_.stacks[0].python_leaf = 1;
  ExpectWrong("the unknown stack has frames");
}

TEST_F(CheckValid, MissesTheUnknownCode) {
  recording_.python_code.clear();
  ExpectWrong("no unknown code");
  recording_.python_code = {{.name = "f"}};
  ExpectWrong("the unknown code is known");
}

TEST_F(CheckValid, FindsALineTableOfNoKind) {
  recording_.python_code[1].table = static_cast<LineTable>(4);
  ExpectWrong("code 1 has no such line table");
}

TEST_F(CheckValid, MissesTheRoot) {
  recording_.native_nodes.clear();
  ExpectWrong("no root node");
}

TEST_F(CheckValid, MissesTheUnknownStack) {
  recording_.stacks.clear();
  ExpectWrong("no unknown stack");
}

TEST_F(CheckValid, FindsAParentOutOfRange) {
  recording_.native_nodes[2].parent = 4;
  ExpectWrong("node 2 has no such parent");
}

TEST_F(CheckValid, FindsACircle) {
  recording_.native_nodes[1].parent = 3;
  ExpectWrong("too long");
}

TEST_F(CheckValid, FindsANodeThatIsItsOwnParent) {
  recording_.native_nodes[1].parent = 1;
  ExpectWrong("too long");
}

TEST_F(CheckValid, AcceptsTheDeepestChainAndNoDeeperOne) {
  for (uint32_t depth = 3; depth < kMaxFrames; ++depth) {
    recording_.native_nodes.push_back({.parent = depth});
  }
  EXPECT_EQ(recording_.CheckValid(), "");
  recording_.native_nodes.push_back({.parent = kMaxFrames});
  ExpectWrong("too long");
}

TEST_F(CheckValid, FindsAModuleThatIsNotListed) {
  recording_.native_nodes[2].module = 3;
  ExpectWrong("names module 3");
}

TEST_F(CheckValid, FindsModulesOutOfOrderOrTwice) {
  recording_.modules[1].id = 1;
  ExpectWrong("module 1 is out of order");
}

TEST_F(CheckValid, FindsAModuleThatEndsBeforeItStarts) {
  recording_.modules[0].end = 9;
  ExpectWrong("module 1 ends before");
}

TEST_F(CheckValid, FindsALeafOutOfRange) {
  recording_.stacks[1].native_leaf = 4;
  ExpectWrong("stack 1 has no such leaf");
}

TEST_F(CheckValid, FindsAnUnknownDomain) {
  recording_.stacks[1].domain = static_cast<Domain>(4);
  ExpectWrong("stack 1 has no such domain");
}

TEST_F(CheckValid, FindsTotalsThatAreNoNumbers) {
  recording_.stacks[1].live.bytes = std::numeric_limits<double>::quiet_NaN();
  ExpectWrong("stack 1 has totals");
  recording_ = Valid();
  recording_.peak.bytes_variance = -1;
  ExpectWrong("process's totals");
  recording_ = Valid();
  recording_.live.objects = std::numeric_limits<double>::infinity();
  ExpectWrong("process's totals");
}

TEST_F(CheckValid, FindsALiveBlockWithoutItsStack) {
  recording_.live_blocks[0].stack = {2};
  ExpectWrong("live block 0 has no such stack");
}

TEST_F(CheckValid, FindsAWeightBelowOne) {
  recording_.live_blocks[0].weight = 0.5;
  ExpectWrong("live block 0 has a weight");
}

TEST_F(CheckValid, FindsALiveBlockYoungerThanTheLastEvent) {
  recording_.live_blocks[0].time_ns = 101;
  ExpectWrong("live block 0 is younger");
}

TEST_F(CheckValid, FindsEventsOutOfOrder) {
  recording_.events[0].time_ns = 51;
  ExpectWrong("event 1 is out of order");
}

TEST_F(CheckValid, FindsAnEventWithoutItsStack) {
  recording_.events[2].stack = {7};
  ExpectWrong("event 2 has no such stack");
}

TEST_F(CheckValid, FindsAnEventWithoutAnInterval) {
  recording_.events[2].interval = 0;
  ExpectWrong("event 2 has no interval");
}

TEST_F(CheckValid, FindsASectionThatHoldsMoreThanItsRoom) {
  recording_.sections[0].records = 3;
  ExpectWrong("section stacks holds more");
}

}  // namespace
}  // namespace heapecho::model

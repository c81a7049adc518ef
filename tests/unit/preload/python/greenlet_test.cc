// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/greenlet.h"

#include <vector>

#include "gtest/gtest.h"
#include "preload/wire/format.h"

namespace heapecho::stack {
namespace {

constexpr uintptr_t kStart = 0x10000, kEnd = 0x20000;
constexpr uintptr_t kGreenlets = 0x12345, kOther = 0x30000, kEvaluation = 0x40000 | wire::kEvaluationFrame;

Module ModuleAt(const char* path, bool unloaded = false) {
  Module module = {};
  module.unloaded = unloaded;
  module.start = kStart;
  module.end = kEnd;
  module.path = path;
  return module;
}

size_t Own(const std::vector<uintptr_t>& ips) {
  std::vector<NativeFrame> frames;
  for (const uintptr_t ip : ips) frames.push_back({.ip = ip, .cfa = 0});
  return FramesOfGreenlet(frames.data(), frames.size());
}

class Greenlets : public testing::Test {
 protected:
  Greenlets() { NoteIfGreenlet(ModuleAt("/v/site-packages/greenlet/_greenlet.cpython-311-x86_64-linux-gnu.so")); }
  ~Greenlets() override { NoteIfGreenlet(ModuleAt("", true)); }
};

TEST_F(Greenlets, BeginWithTheFramesOfTheirModuleThatAreOutsideOfAllPython) {
  EXPECT_EQ(Own({kOther, kEvaluation, kOther, kGreenlets, kGreenlets, kOther, kGreenlets, kOther}), 5u);
}

TEST_F(Greenlets, AreNotCutWhereTheySwitch) {
  EXPECT_EQ(Own({kGreenlets, kOther, kEvaluation, kOther, kGreenlets, kOther}), 5u);
  EXPECT_EQ(Own({kGreenlets, kGreenlets, kOther, kEvaluation, kOther}), 5u);
}

TEST_F(Greenlets, AreNoneWherePythonRunsInNone) {
  EXPECT_EQ(Own({kOther, kEvaluation, kOther, kOther}), 4u);
  EXPECT_EQ(Own({kGreenlets, kGreenlets, kOther}), 3u);
  EXPECT_EQ(Own({}), 0u);
}

TEST_F(Greenlets, AreForgottenWithTheirModule) {
  NoteIfGreenlet(ModuleAt("", true));
  EXPECT_EQ(Own({kEvaluation, kGreenlets, kOther}), 3u);
}

TEST(GreenletsModule, IsKnownByItsFile) {
  NoteIfGreenlet(ModuleAt("/v/gevent/_greenlet_primitives.so"));
  NoteIfGreenlet(ModuleAt("/usr/lib/libgreenlet.so"));
  EXPECT_EQ(Own({kEvaluation, kGreenlets, kOther}), 3u);
  NoteIfGreenlet(ModuleAt("/v/greenlet.cpython-38-x86_64-linux-gnu.so"));
  EXPECT_EQ(Own({kEvaluation, kGreenlets, kOther}), 2u);
  NoteIfGreenlet(ModuleAt("", true));
}

}  // namespace
}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// The colour of a frame.
#include "analyzer/output/frame_color.h"

#include "gtest/gtest.h"
#include "tests/unit/analyzer/output/profiles.h"

namespace heapecho::output {
namespace {

bool IsCool(int hue) { return hue >= 100 && hue <= 240; }

int HueDistance(const FrameColor& a, const FrameColor& b) {
  const int difference = std::abs(a.hue - b.hue);
  return std::min(difference, 360 - difference);
}

TEST(FrameColor, IsCoolForPythonAndWarmForNative) {
  for (const char* name : {"a", "b", "views", "json", "models", "urls", "tasks", "x9"}) {
    const std::string text = name;
    EXPECT_TRUE(IsCool(ColorOf(Python("f", text + ".py")).hue)) << name;
    EXPECT_FALSE(IsCool(ColorOf(Native("f", "lib" + text + ".so")).hue)) << name;
  }
}

TEST(FrameColor, IsAShadeOfTheSameHueWithinALibraryOrFile) {
  for (const char* function : {"read", "write", "flush", "open"}) {
    EXPECT_LE(
        HueDistance(ColorOf(Native(function, "libarrow.so")), ColorOf(Native("f", "libarrow.so"))),
        8);
    EXPECT_LE(HueDistance(ColorOf(Python(function, "/a/v.py")), ColorOf(Python("f", "/b/v.py"))),
              8);
  }
}

TEST(FrameColor, IsMutedForTheInterpreterAndLibc) {
  const FrameColor plain = ColorOf(Native("f", "libarrow.so"));
  for (const char* module : {"python3.11", "libpython3.12.so.1.0", "libc.so.6"}) {
    EXPECT_LT(ColorOf(Native("f", module)).saturation, plain.saturation) << module;
  }
}

TEST(FrameColor, NeverChangesBetweenBuildsAndMachines) {
  const FrameColor color = ColorOf(Native("f", "libarrow.so"));
  const FrameColor again = ColorOf(Native("f", std::string("lib") + "arrow.so"));
  EXPECT_EQ(color.hue, again.hue);
  // FNV-1a as published gives these; a hash of the library's own choosing would not.
  EXPECT_EQ(ColorOf(Native("", "python3.11")).hue, ColorOf(Native("", "libc.so.6")).hue);
}

TEST(ColorOfChange, IsFullerTheMoreOfTheBoxChanged) {
  EXPECT_EQ(ColorOfChange(1, 10).hue, 6);
  EXPECT_EQ(ColorOfChange(-1, -10).hue, 214);
  EXPECT_GT(ColorOfChange(1, 10).saturation, ColorOfChange(0.2, 10).saturation);
  EXPECT_LT(ColorOfChange(1, 10).lightness, ColorOfChange(0.2, 10).lightness);
  EXPECT_EQ(ColorOfChange(0.9, 1.9).saturation, ColorOfChange(0, 0).saturation);
  EXPECT_EQ(ColorOfChange(5, 10).saturation, ColorOfChange(1, 10).saturation);  // of hostile figures
}

}  // namespace
}  // namespace heapecho::output

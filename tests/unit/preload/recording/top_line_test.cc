// SPDX-License-Identifier: Apache-2.0
#include "preload/recording/top_line.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "preload/wire/format.h"
#include "tests/support/recording_builder.h"

namespace heapecho::recording {
namespace {

using heapecho::testing::RecordingBuilder;

constexpr uint64_t kMiB = 1 << 20;

TopLine TopLineOf(const std::vector<uint8_t>& file) {
  const int fd = memfd_create("recording", MFD_CLOEXEC);
  EXPECT_EQ(write(fd, file.data(), file.size()), static_cast<ssize_t>(file.size()));
  wire::FileHeader header = {};
  memcpy(&header, file.data(), std::min(file.size(), sizeof header));
  const TopLine top = FindTopLine(fd, header);
  close(fd);
  return top;
}

// "61 % views.py:88 load"
std::string Text(const TopLine& top) {
  return std::to_string(top.percent) + " % " + top.file + ":" + std::to_string(top.line) + " " +
         top.function;
}

class TopLineTest : public ::testing::Test {
 protected:
  // A stack whose frames are these code objects, outermost first, each at the instruction 2.
  uint32_t Stack(const std::vector<uint32_t>& codes) {
    std::vector<RecordingBuilder::Address> native;
    std::vector<RecordingBuilder::PythonFrame> python;
    for (const uint32_t code : codes) {
      native.push_back({0, 0x1000, true});
      python.push_back({.code = code, .instruction = 2});
    }
    native.push_back({0, 0x2000 + 16 * stacks_++});
    return builder_.AddMixedStack(native, python);
  }
  void Hold(uint32_t stack, uint64_t bytes) {
    builder_.Allocate(
        {.stack = stack, .address = address_ += 0x1000, .size = bytes, .time_ns = 2'000'000'000});
  }
  uint32_t Code(const char* name, const char* file, int32_t line) {
    // 3.10: two bytes at the first line, then one line further.
    return builder_.AddCode(name, file, line, wire::LineTable::kLines, std::string("\2\0\4\1", 4));
  }

  RecordingBuilder builder_;
  uint32_t stacks_ = 0;
  uint64_t address_ = 0x100000;
};

TEST_F(TopLineTest, IsTheApplicationsFunctionThatHoldsMost) {
  const uint32_t main = Code("main", "/srv/shop/wsgi.py", 5);
  const uint32_t load = Code("Views.load", "/srv/shop/views.py", 87);
  const uint32_t loads = Code("loads", "/usr/lib/python3.11/json/__init__.py", 300);
  const uint32_t made = Code("<listcomp>", "<string>", 1);
  Hold(Stack({main, load, loads}), 64 * kMiB);
  Hold(Stack({main, load, made}), 40 * kMiB);
  Hold(Stack({main}), 96 * kMiB);
  EXPECT_EQ(Text(TopLineOf(builder_.Build())), "52 % views.py:88 Views.load");
}

TEST_F(TopLineTest, IsNoneWhereNothingOfTheApplicationsHoldsATenth) {
  const uint32_t own = Code("own", "/srv/own.py", 1);
  const uint32_t library = Code("library", "/opt/site-packages/library.py", 1);
  Hold(Stack({library}), 960 * kMiB);
  Hold(Stack({own}), 32 * kMiB);
  EXPECT_EQ(TopLineOf(builder_.Build()).percent, 0U);
}

TEST_F(TopLineTest, IsNoneWhereThereIsNoPythonOrNothingLive) {
  EXPECT_EQ(TopLineOf(builder_.Build()).percent, 0U);
  const uint32_t own = Code("own", "/srv/own.py", 1);
  const uint32_t stack = Stack({own});
  EXPECT_EQ(TopLineOf(builder_.Build()).percent, 0U);
  Hold(stack, kMiB);
  EXPECT_EQ(TopLineOf(builder_.Build()).percent, 100U);
}

TEST_F(TopLineTest, CountsWhatAPoolsThreadDidForAFunctionOfIts) {
  const uint32_t read = Code("read", "/srv/read.py", 9);
  builder_.stack(Stack({read})).live_bytes = 0;
  const uint32_t of_thread = builder_.AddStack({{0, 0x9000}});
  builder_.stack(of_thread).behalf_leaf =
      builder_.AddPythonNode(0, {.code = read, .instruction = 0});
  Hold(of_thread, 300 * kMiB);
  EXPECT_EQ(Text(TopLineOf(builder_.Build())), "100 % read.py:9 read");
}

TEST_F(TopLineTest, HoldsNothingThatBreaksALine) {
  const uint32_t code = Code("a\nb\x1b[0m", "/srv/new\nline.py", 3);
  Hold(Stack({code}), 300 * kMiB);
  EXPECT_EQ(Text(TopLineOf(builder_.Build())), "100 % new?line.py:4 a?b?[0m");
  RecordingBuilder::PythonFrame frame;
  const std::string long_name(5000, 'n'), long_file = "/" + std::string(5000, 'f');
  frame.code = builder_.AddCode(long_name, long_file, 1);
  const TopLine top = [&] {
    Hold(Stack({frame.code}), 900 * kMiB);
    return TopLineOf(builder_.Build());
  }();
  EXPECT_EQ(top.function, std::string(sizeof top.function - 1, 'n'));
  EXPECT_EQ(top.file, std::string(sizeof top.file - 1, 'f'));
}

// Damage of any kind: it ends, and what it says is text.
TEST_F(TopLineTest, EndsWhateverTheFileHolds) {
  const uint32_t main = Code("main", "/srv/shop/wsgi.py", 5);
  const uint32_t load = Code("load", "/srv/shop/views.py", 87);
  for (int i = 0; i < 40; ++i)
    Hold(Stack({main, load, i % 2 == 0 ? main : load}), kMiB * (1 + i % 3));
  const std::vector<uint8_t> whole = builder_.Build();
  std::mt19937_64 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::vector<uint8_t> file = whole;
    for (uint64_t n = random() % 20; n-- > 0;) {
      // Half of it in the table of sections, where most harm is done.
      const uint64_t at = random() % 2 == 0 ? offsetof(wire::FileHeader, sections) + random() % 512
                                            : random() % file.size();
      file[at] = static_cast<uint8_t>(random() % 4 == 0 ? 0xff : random());
    }
    if (random() % 4 == 0)
      file.resize(sizeof(wire::FileHeader) + random() % (file.size() - sizeof(wire::FileHeader)));
    const TopLine top = TopLineOf(file);
    EXPECT_LE(top.percent, 100U);
    EXPECT_LT(strnlen(top.file, sizeof top.file), sizeof top.file);
    EXPECT_LT(strnlen(top.function, sizeof top.function), sizeof top.function);
  }
}

TEST_F(TopLineTest, GoesNoFurtherThanAChainOfFramesMay) {
  const uint32_t library = Code("library", "/opt/site-packages/library.py", 1);
  const uint32_t stack = Stack({library});
  Hold(stack, kMiB);
  const uint32_t leaf = builder_.stack(stack).python_leaf;
  builder_.python_node(leaf).parent = leaf;  // a circle
  EXPECT_EQ(TopLineOf(builder_.Build()).percent, 0U);
}

}  // namespace
}  // namespace heapecho::recording

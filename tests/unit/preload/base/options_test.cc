// SPDX-License-Identifier: Apache-2.0
// The options: each one's effect on the parsed values, its default, and its nonsense value.
#include "preload/base/options.h"

#include <unistd.h>

#include <cstring>
#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "preload/base/log.h"

namespace heapecho::base {
namespace {

std::map<std::string, std::string>& Environment() {
  static std::map<std::string, std::string> environment;
  return environment;
}

char* LookUp(const char* name) {
  auto it = Environment().find(name);
  return it == Environment().end() ? nullptr : it->second.data();
}

Options Read(std::map<std::string, std::string> environment) {
  Environment() = std::move(environment);
  Options options = {};
  ReadOptions(LookUp, "/srv/app", &options);
  return options;
}

TEST(Options, HaveTheDefaultsOfTheTable) {
  const Options options = Read({});
  EXPECT_STREQ(options.directory, "/var/tmp/heapecho");
  EXPECT_EQ(options.interval, kAuto);
  EXPECT_EQ(options.budget, kAuto);
  EXPECT_EQ(options.keep, uint64_t{2} << 30);
  EXPECT_TRUE(options.map);
  EXPECT_FALSE(options.keep_short);
  EXPECT_EQ(options.python, PythonUse::kWhole);
  EXPECT_EQ(options.arrow, Arrow::kAll);
  EXPECT_EQ(options.mmap, Mmap::kAll);
  EXPECT_STREQ(options.only, "");
  EXPECT_FALSE(options.disable);
}

TEST(Options, TakeEachVariable) {
  const Options options = Read({{"HEAPECHO_DIR", "/data/rec"},
                                {"HEAPECHO_INTERVAL", "512KiB"},
                                {"HEAPECHO_BUDGET", "8M"},
                                {"HEAPECHO_KEEP", "100M"},
                                {"HEAPECHO_MAP", "0"},
                                {"HEAPECHO_SHORT", "keep"},
                                {"HEAPECHO_PYTHON", "native"},
                                {"HEAPECHO_ARROW", "off"},
                                {"HEAPECHO_MMAP", "off"},
                                {"HEAPECHO_ONLY", "gunicorn,python3"},
                                {"HEAPECHO_DISABLE", "1"}});
  EXPECT_STREQ(options.directory, "/data/rec");
  EXPECT_EQ(options.interval, 512u << 10);
  EXPECT_EQ(options.budget, 8u << 20);
  EXPECT_EQ(options.keep, 100u << 20);
  EXPECT_FALSE(options.map);
  EXPECT_TRUE(options.keep_short);
  EXPECT_EQ(options.python, PythonUse::kNative);
  EXPECT_EQ(options.arrow, Arrow::kOff);
  EXPECT_EQ(options.mmap, Mmap::kOff);
  EXPECT_EQ(Read({{"HEAPECHO_PYTHON", "frames"}}).python, PythonUse::kFrames);
  EXPECT_EQ(Read({{"HEAPECHO_PYTHON", "off"}}).python, PythonUse::kOff);
  EXPECT_EQ(Read({{"HEAPECHO_ARROW", "pools"}}).arrow, Arrow::kPools);
  EXPECT_STREQ(options.only, "gunicorn,python3");
  EXPECT_TRUE(options.disable);
}

TEST(Options, MakeARelativeDirectoryAbsolute) {
  EXPECT_STREQ(Read({{"HEAPECHO_DIR", "rec"}}).directory, "/srv/app/rec");
}

TEST(Options, TakeAnEmptyVariableAsUnset) { EXPECT_EQ(Read({{"HEAPECHO_INTERVAL", ""}}).interval, kAuto); }

// Complaints go out once a process, so each nonsense value is read in a child of its own.
struct Nonsense {
  const char* variable;
  const char* value;
  const char* standard;
};
class NonsenseValue : public testing::TestWithParam<Nonsense> {};

TEST_P(NonsenseValue, LeavesTheDefaultAndIsNamedInOneLine) {
  const Nonsense& nonsense = GetParam();
  const std::string line = std::string("heapecho: ") + nonsense.variable + "=" + nonsense.value +
                           " is not understood; using " + nonsense.standard + "\n";
  EXPECT_EXIT(
      {
        RememberStderr();
        const Options options = Read({{nonsense.variable, nonsense.value}});
        const Options standard = Read({});
        _exit(std::memcmp(&options, &standard, sizeof options) == 0 ? 0 : 1);
      },
      testing::ExitedWithCode(0), testing::Eq(line));
}

INSTANTIATE_TEST_SUITE_P(
    Each, NonsenseValue,
    testing::Values(Nonsense{"HEAPECHO_INTERVAL", "fast", "auto"}, Nonsense{"HEAPECHO_INTERVAL", "0", "auto"},
                    Nonsense{"HEAPECHO_INTERVAL", "12Q", "auto"}, Nonsense{"HEAPECHO_BUDGET", "-1", "auto"},
                    Nonsense{"HEAPECHO_BUDGET", "99999999999999999999", "auto"},
                    Nonsense{"HEAPECHO_KEEP", "auto", "2GiB"}, Nonsense{"HEAPECHO_SHORT", "yes", "drop"}, Nonsense{"HEAPECHO_DISABLE", "2", "0"}, Nonsense{"HEAPECHO_MAP", "no", "1"},
                    Nonsense{"HEAPECHO_PYTHON", "full", "auto"},
                    Nonsense{"HEAPECHO_ARROW", "1", "auto"}, Nonsense{"HEAPECHO_MMAP", "on", "auto"}));

TEST(ParseSize, TakesBytesAndPowersOf1024) {
  const std::map<std::string, uint64_t> sizes = {
      {"1", 1}, {"4096", 4096}, {"16K", 16 << 10}, {"16KiB", 16 << 10}, {"3M", 3 << 20}, {"2GiB", 2ull << 30}};
  for (const auto& [text, bytes] : sizes) {
    uint64_t parsed = 0;
    EXPECT_TRUE(ParseSize(text.c_str(), &parsed)) << text;
    EXPECT_EQ(parsed, bytes) << text;
  }
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text : {"", "K", "1k", "1KB", "1Ki", "1.5M", " 1", "1 ", "0x10", "8589934592G"}) {
    uint64_t parsed = 77;
    EXPECT_FALSE(ParseSize(text, &parsed)) << text;
    EXPECT_EQ(parsed, 77u) << text;
  }
}

TEST(IsSelected, ComparesWholeNames) {
  EXPECT_TRUE(IsSelected("gunicorn,python3", "python3"));
  EXPECT_TRUE(IsSelected("gunicorn", "gunicorn"));
  EXPECT_FALSE(IsSelected("gunicorn,python3", "python"));
  EXPECT_FALSE(IsSelected("gunicorn,python3", "gunicorn,python3"));
}

}  // namespace
}  // namespace heapecho::base

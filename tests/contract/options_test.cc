// SPDX-License-Identifier: Apache-2.0
// The command line and the library mean the same by the same words, though neither may include the
// other.
#include "preload/base/options.h"

#include <map>
#include <string>

#include "analyzer/cli/variables.h"
#include "gtest/gtest.h"

namespace heapecho {
namespace {

// Each variable of the library with its default.
std::map<std::string, std::string> LibraryOptions() {
  return {
#define OPTION(field, type, variable, standard, meaning) {variable, standard},
#include "preload/base/options.inc"
#undef OPTION
  };
}

TEST(Options, OfTheCommandLineAreVariablesOfTheLibrary) {
  const std::map<std::string, std::string> options = LibraryOptions();
  for (const char* variable :
       {cli::kDirectoryVariable, cli::kIntervalVariable, cli::kBudgetVariable, cli::kShortVariable,
        cli::kNoticeVariable, cli::kOnlyVariable, cli::kDisableVariable}) {
    EXPECT_EQ(options.count(variable), 1u) << variable;
  }
}

TEST(Options, HaveTheSameDefaultDirectory) {
  EXPECT_EQ(LibraryOptions()[cli::kDirectoryVariable], cli::kDefaultDirectory);
}

TEST(Options, AreSizesToBothOrToNeither) {
  for (const char* text : {"1",
                           "4096",
                           "0",
                           "",
                           "512K",
                           "512KiB",
                           "512k",
                           "512kB",
                           "512KB",
                           "64M",
                           "64MiB",
                           "64Mi",
                           "2G",
                           "2GiB",
                           "1T",
                           "-1",
                           "+1",
                           " 1",
                           "1 ",
                           "1.5M",
                           "0x10",
                           "K",
                           "4611686018427387904",
                           "4611686018427387905",
                           "4398046511104M",
                           "4398046511105M",
                           "99999999999999999999",
                           "18446744073709551617"}) {
    uint64_t bytes = 0;
    EXPECT_EQ(cli::IsSize(text), base::ParseSize(text, &bytes)) << '"' << text << '"';
  }
}

}  // namespace
}  // namespace heapecho

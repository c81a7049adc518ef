// SPDX-License-Identifier: Apache-2.0
// Which recordings a command line names.
#include "analyzer/reader/find_recordings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace heapecho::reader {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FindRecordingsTest : public ::testing::Test {
 protected:
  FindRecordingsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "find-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~FindRecordingsTest() override { std::filesystem::remove_all(directory_); }

  std::string Touch(const std::string& name) {
    const std::string path = directory_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << "x";
    return path;
  }

  std::string directory_;
};

TEST_F(FindRecordingsTest, ListsADirectoryByName) {
  const std::string c = Touch("c.heapecho"), a = Touch("a.heapecho"), b = Touch("b.heapecho");
  EXPECT_THAT(FindRecordings({directory_}).value(), ElementsAre(a, b, c));
  EXPECT_THAT(FindRecordings({directory_ + "/"}).value(), ElementsAre(a, b, c));
}

TEST_F(FindRecordingsTest, LeavesOtherFilesAndSubdirectoriesOut) {
  const std::string a = Touch("a.heapecho");
  Touch("a.html");
  Touch(".hidden.heapecho");
  Touch("sub/b.heapecho");
  Touch("folder.heapecho/c");
  EXPECT_THAT(FindRecordings({directory_}).value(), ElementsAre(a));
}

TEST_F(FindRecordingsTest, TakesANamedFileWhateverItsName) {
  const std::string odd = Touch("odd.bin");
  EXPECT_THAT(FindRecordings({odd}).value(), ElementsAre(odd));
}

TEST_F(FindRecordingsTest, KeepsTheOrderOfThePathsAndEachFileOnce) {
  const std::string a = Touch("a.heapecho"), b = Touch("b.heapecho");
  const std::string link = directory_ + "/z.heapecho";
  std::filesystem::create_symlink(a, link);
  EXPECT_THAT(FindRecordings({b, directory_, a}).value(), ElementsAre(b, a));
}

TEST_F(FindRecordingsTest, RefusesADirectoryWithoutRecordings) {
  Touch("a.html");
  const absl::Status status = FindRecordings({directory_}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), directory_ + ": holds no recordings (*.heapecho)");
}

TEST_F(FindRecordingsTest, NamesAPathThatDoesNotExist) {
  const std::string missing = directory_ + "/missing";
  EXPECT_EQ(FindRecordings({missing}).status().message(),
            missing + ": cannot be found: No such file or directory");
}

TEST_F(FindRecordingsTest, FindsNothingInNothing) {
  EXPECT_THAT(FindRecordings({}).value(), IsEmpty());
}

}  // namespace
}  // namespace heapecho::reader

// SPDX-License-Identifier: Apache-2.0
// A command as the kernel would run it: files of every kind that cannot be recorded, and those that
// can.
#include "analyzer/cli/target.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapecho::cli {
namespace {

using testing::HasSubstr;

#if defined(__x86_64__)
constexpr uint16_t kOurs = EM_X86_64, kOther = EM_AARCH64;
#else
constexpr uint16_t kOurs = EM_AARCH64, kOther = EM_X86_64;
#endif

class TargetTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/targetXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& bytes, mode_t mode = 0755) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    chmod(path.c_str(), mode);
    return path;
  }

  // The header of an ELF program, with a PT_INTERP that names `loader` unless that is empty.
  static std::string Elf(const std::string& loader, uint16_t machine = kOurs,
                         bool is_64_bit = true) {
    Elf64_Ehdr header = {};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = is_64_bit ? ELFCLASS64 : ELFCLASS32;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_DYN;
    header.e_machine = machine;
    header.e_version = EV_CURRENT;
    header.e_ehsize = sizeof header;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    Elf64_Phdr segment = {};
    segment.p_type = loader.empty() ? PT_LOAD : PT_INTERP;
    segment.p_offset = sizeof header + sizeof segment;
    segment.p_filesz = loader.size() + 1;
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
    bytes.append(reinterpret_cast<const char*>(&segment), sizeof segment);
    return bytes + loader + std::string(1, '\0');
  }

  std::string Reason(const std::string& path) const {
    const absl::StatusOr<Target> target = TargetOf(path);
    if (target.ok()) return "it can be recorded";
    EXPECT_EQ(target.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(target.status().message(), HasSubstr(path));
    return std::string(target.status().message());
  }

  std::string folder_;
};

TEST_F(TargetTest, OfADynamicProgramIsItAndItsLoader) {
  const std::string path = Write("app", Elf("/lib64/ld-linux-x86-64.so.2", kOurs));
  const absl::StatusOr<Target> target = TargetOf(path);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->path, path);
  EXPECT_EQ(target->program, path);
  EXPECT_EQ(target->loader, "/lib64/ld-linux-x86-64.so.2");
}

TEST_F(TargetTest, OfAScriptIsItsInterpreter) {
  const std::string program = Write("interpreter", Elf("/lib64/ld-linux-x86-64.so.2", kOurs));
  const std::string script = Write("script", absl::StrCat("#! ", program, " -u\nprint()\n"));
  const absl::StatusOr<Target> target = TargetOf(script);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->path, script);
  EXPECT_EQ(target->program, program);
}

TEST_F(TargetTest, SaysWhyAScriptsInterpreterCannotBeRecorded) {
  const std::string program = Write("interpreter", Elf("/lib/ld-musl-x86_64.so.1", kOurs));
  const std::string script = Write("script", absl::StrCat("#!", program, "\n"));
  EXPECT_THAT(Reason(script), testing::AllOf(HasSubstr("musl"), HasSubstr(program)));
  EXPECT_THAT(Reason(Write("second", absl::StrCat("#!", script, "\n"))),
              HasSubstr("script itself"));
}

TEST_F(TargetTest, RefusesMuslWithThatWord) {
  EXPECT_THAT(Reason(Write("app", Elf("/lib/ld-musl-x86_64.so.1", kOurs))),
              HasSubstr("runs on musl"));
}

TEST_F(TargetTest, RefusesAStaticProgram) {
  EXPECT_THAT(Reason(Write("app", Elf("", kOurs))), HasSubstr("statically linked"));
}

TEST_F(TargetTest, RefusesAnotherMachineAndA32BitProgram) {
  EXPECT_THAT(Reason(Write("app", Elf("/lib/ld.so", kOther))), HasSubstr("another machine"));
  EXPECT_THAT(Reason(Write("small", Elf("/lib/ld.so", kOurs, false))), HasSubstr("32-bit"));
}

TEST_F(TargetTest, RefusesWhatIsNoProgram) {
  EXPECT_THAT(Reason(Write("text", "hello\n")), HasSubstr("neither an ELF program nor a script"));
  EXPECT_THAT(Reason(Write("empty", "")), HasSubstr("neither"));
}

TEST_F(TargetTest, SurvivesEveryTruncationOfAHeader) {
  const std::string whole = Elf("/lib64/ld-linux-x86-64.so.2", kOurs);
  for (size_t size = 0; size < whole.size() - 1; ++size) {
    // Cut inside the loader's name, the rest of the name is not in the file: also that is refused.
    EXPECT_FALSE(TargetOf(Write("cut", whole.substr(0, size))).ok()) << size;
  }
}

TEST_F(TargetTest, OfASetUserIdProgramIsRefusedForAnotherUser) {
  const std::string path = Write("app", Elf("/lib64/ld-linux-x86-64.so.2", kOurs));
  if (chown(path.c_str(), 12345, static_cast<gid_t>(-1)) != 0) {
    GTEST_SKIP() << "only root can give a file to another user";
  }
  chmod(path.c_str(), 04755);
  EXPECT_THAT(Reason(path), HasSubstr("set-user-id"));
}

TEST_F(TargetTest, IsLookedForInThePathAsExecDoes) {
  const std::string program = Write("app", Elf("/lib64/ld-linux-x86-64.so.2", kOurs));
  std::filesystem::create_directory(folder_ + "/first");
  Write("first/app", Elf("", kOurs), 0644);  // may not be executed, so it is passed over
  const absl::StatusOr<Target> found =
      FindTarget("app", folder_ + "/none:" + folder_ + "/first:" + folder_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->path, program);
  EXPECT_EQ(FindTarget("app", folder_ + "/first").status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(FindTarget("app", folder_ + "/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FindTarget(folder_ + "/none/app", "").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FindTarget(folder_, "").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(TargetTest, OfThisTestItselfIsARealOne) {
  const absl::StatusOr<Target> target = TargetOf("/proc/self/exe");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_TRUE(std::filesystem::exists(target->loader));
}

}  // namespace
}  // namespace heapecho::cli

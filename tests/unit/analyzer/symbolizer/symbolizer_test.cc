// SPDX-License-Identifier: Apache-2.0
// Against the fixture library in the shapes in which libraries are shipped (see CMakeLists.txt).
#include "analyzer/symbolizer/symbolizer.h"

#include <fcntl.h>
#include <gelf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace heapecho::symbolizer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kShapes = SHAPES;

// The address of a symbol or label, from the fixture's own symbol table.
uint64_t AddressOf(const std::string& name,
                   const std::string& file = kShapes + "/full/libfixture.so") {
  elf_version(EV_CURRENT);
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  Elf* elf = elf_begin(fd, ELF_C_READ, nullptr);
  uint64_t address = 0;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    gelf_getshdr(section, &header);
    if (header.sh_type != SHT_SYMTAB) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (int i = 0; i < static_cast<int>(header.sh_size / header.sh_entsize); ++i) {
      GElf_Sym symbol;
      gelf_getsym(data, i, &symbol);
      if (elf_strptr(elf, header.sh_link, symbol.st_name) == name) address = symbol.st_value;
    }
  }
  elf_end(elf);
  close(fd);
  EXPECT_NE(address, 0U) << name;
  return address;
}

uint32_t LineOf(const std::string& mark) {
  std::ifstream source(FIXTURE_SOURCE);
  std::string line;
  for (uint32_t number = 1; std::getline(source, line); ++number)
    if (line.ends_with("// MARK " + mark)) return number;
  ADD_FAILURE() << "no line is marked " << mark;
  return 0;
}

model::Module Fixture(const std::string& shape, const std::string& build_id = BUILD_ID) {
  model::Module module;
  module.id = 1;
  module.path = kShapes + "/" + shape + "/libfixture.so";
  module.build_id = build_id;
  return module;
}

// Without the machine's own debug directories.
std::unique_ptr<Symbolizer> Make(std::vector<std::string> debug_directories = {},
                                 std::string sysroot = "") {
  return MakeElfSymbolizer(
      {.sysroot = std::move(sysroot), .debug_directories = std::move(debug_directories)});
}

Frames At(Symbolizer& symbolizer, const model::Module& module, uint64_t address) {
  return symbolizer.Symbolize(module, {address}).at(0);
}

std::vector<std::string> FunctionsOf(const Frames& frames) {
  std::vector<std::string> functions;
  for (const model::Frame& frame : frames) functions.push_back(frame.function);
  return functions;
}

std::string FunctionAt(Symbolizer& symbolizer, const model::Module& module, uint64_t address) {
  return At(symbolizer, module, address).back().function;
}

class Symbolization : public ::testing::Test {
 protected:
  Symbolization() {
    std::string name = ::testing::TempDir() + "symbolizer-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~Symbolization() override { fs::remove_all(directory_); }

  fs::path directory_;
};

TEST_F(Symbolization, NamesFunctionFileLineAndModule) {
  auto symbolizer = Make();
  const Frames frames = At(*symbolizer, Fixture("full"), AddressOf("at_fill"));
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].kind, model::Frame::Kind::kNative);
  EXPECT_EQ(frames[0].function, "fixture::Cart::Fill(int)");
  EXPECT_EQ(frames[0].file, "/src/fixture.cc");
  EXPECT_EQ(frames[0].line, LineOf("fill"));
  EXPECT_EQ(frames[0].module, "libfixture.so");
  EXPECT_FALSE(frames[0].inlined);
  EXPECT_THAT(symbolizer->Warnings(), IsEmpty());
}

TEST_F(Symbolization, ShowsInlinedFunctionsInnermostFirstWithTheirCallers) {
  auto symbolizer = Make();
  const Frames frames = At(*symbolizer, Fixture("full"), AddressOf("at_innermost"));
  // Of internal linkage: DWARF knows their scope, not their parameters.
  ASSERT_THAT(FunctionsOf(frames),
              ElementsAre("fixture::Innermost", "fixture::Middle", "fixture::Cart::Fill(int)"));
  EXPECT_EQ(frames[0].line, LineOf("innermost"));
  EXPECT_EQ(frames[1].line, LineOf("middle"));
  EXPECT_EQ(frames[2].line, LineOf("outermost"));
  for (const model::Frame& frame : frames) EXPECT_EQ(frame.file, "/src/fixture.cc");
  EXPECT_TRUE(frames[0].inlined);
  EXPECT_TRUE(frames[1].inlined);
  EXPECT_FALSE(frames[2].inlined);
}

TEST_F(Symbolization, AnswersInTheOrderAskedHoweverOften) {
  auto symbolizer = Make();
  const uint64_t fill = AddressOf("at_fill"), c = AddressOf("at_plain_c"),
                 local = AddressOf("at_local");
  for (int i = 0; i < 2; ++i) {
    const std::vector<Frames> answers =
        symbolizer->Symbolize(Fixture("full"), {local, fill, c, local});
    ASSERT_EQ(answers.size(), 4U);
    EXPECT_EQ(answers[0][0].function, "fixture::Local()");
    EXPECT_EQ(answers[1][0].function, "fixture::Cart::Fill(int)");
    EXPECT_EQ(answers[2][0].function, "plain_c");
    EXPECT_EQ(answers[3], answers[0]);
  }
}

TEST_F(Symbolization, NamesRustFunctionsWithoutHashes) {
  auto symbolizer = Make();
  EXPECT_EQ(
      FunctionAt(*symbolizer, Fixture("full"), AddressOf("_ZN4shop4cart4fill17h0123456789abcdefE")),
      "shop::cart::fill");
  EXPECT_EQ(FunctionAt(*symbolizer, Fixture("full"),
                       AddressOf("_RNvNtCs6GmmlP4bgsG_4shop4cart5empty") + 1),
            "shop::cart::empty");
}

TEST_F(Symbolization, PrefersTheGlobalNameAmongAliases) {
  auto symbolizer = Make();
  EXPECT_EQ(FunctionAt(*symbolizer, Fixture("stripped"), AddressOf("plain_c")), "plain_c");
}

TEST_F(Symbolization, LetsAFunctionWithoutASizeReachToTheNextOne) {
  auto symbolizer = Make();
  EXPECT_EQ(FunctionAt(*symbolizer, Fixture("full"), AddressOf("unsized_function") + 2),
            "unsized_function");
  EXPECT_EQ(FunctionAt(*symbolizer, Fixture("full"), AddressOf("after_unsized")), "after_unsized");
}

TEST_F(Symbolization, NamesOnlyWhatAStrippedLibraryExports) {
  auto symbolizer = Make();
  const model::Module module = Fixture("stripped");
  EXPECT_EQ(FunctionAt(*symbolizer, module, AddressOf("at_plain_c_end")), "plain_c");
  const uint64_t local = AddressOf("at_local");
  char expected[32];
  std::snprintf(expected, sizeof(expected), "0x%lx", local);
  const Frames frames = At(*symbolizer, module, local);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].function, expected);
  EXPECT_EQ(frames[0].module, "libfixture.so");
  EXPECT_EQ(frames[0].line, 0U);
  EXPECT_THAT(symbolizer->Warnings(), IsEmpty());
}

TEST_F(Symbolization, FindsTheDebugFileByBuildId) {
  auto symbolizer = Make({"/nonexistent", kShapes + "/debug"});
  const model::Module module = Fixture("stripped");
  EXPECT_EQ(FunctionAt(*symbolizer, module, AddressOf("at_local")), "fixture::Local()");
  EXPECT_EQ(At(*symbolizer, module, AddressOf("at_innermost")).size(), 3U);
}

TEST_F(Symbolization, FindsTheDebugFileByItsLink) {
  auto symbolizer = Make();
  const uint64_t local = AddressOf("at_local", kShapes + "/linked/libfull.so");
  EXPECT_EQ(FunctionAt(*symbolizer, Fixture("linked", ""), local), "fixture::Local()");
}

TEST_F(Symbolization, RefusesALinkedDebugFileWhoseChecksumIsWrong) {
  fs::copy(kShapes + "/linked/libfixture.so", directory_ / "libfixture.so");
  fs::copy(kShapes + "/linked/.debug/libfixture.so.debug", directory_ / "libfixture.so.debug");
  std::ofstream(directory_ / "libfixture.so.debug", std::ios::app) << "one byte more";
  model::Module module = Fixture("linked", "");
  module.path = directory_ / "libfixture.so";
  const uint64_t local = AddressOf("at_local", kShapes + "/linked/libfull.so");
  EXPECT_THAT(FunctionAt(*Make(), module, local), HasSubstr("0x"));
}

TEST_F(Symbolization, DoesNotBelieveALibraryThatWasReplaced) {
  auto symbolizer = Make();
  const model::Module module = Fixture("replaced");
  for (const char* label : {"at_fill", "at_local"})
    EXPECT_THAT(FunctionAt(*symbolizer, module, AddressOf(label)), HasSubstr("0x"));
  ASSERT_EQ(symbolizer->Warnings().size(), 1U);
  EXPECT_THAT(symbolizer->Warnings()[0], HasSubstr(module.path + " was replaced since"));
  EXPECT_THAT(symbolizer->Warnings()[0],
              HasSubstr(std::string("build-id ") + BUILD_ID + ", now fedcba98"));
}

TEST_F(Symbolization, DoesNotBelieveABuildIdWhereNoneWasRecorded) {
  auto symbolizer = Make();
  EXPECT_THAT(FunctionAt(*symbolizer, Fixture("full", ""), AddressOf("at_fill")), HasSubstr("0x"));
  ASSERT_EQ(symbolizer->Warnings().size(), 1U);
  EXPECT_THAT(symbolizer->Warnings()[0], HasSubstr(std::string("build-id none, now ") + BUILD_ID));
}

TEST_F(Symbolization, NamesAReplacedLibraryFromItsDebugFile) {
  auto symbolizer = Make({kShapes + "/debug"});
  for (const char* shape : {"replaced", "gone"}) {
    EXPECT_EQ(FunctionAt(*symbolizer, Fixture(shape), AddressOf("at_local")), "fixture::Local()");
    EXPECT_EQ(At(*symbolizer, Fixture(shape), AddressOf("at_innermost")).size(), 3U);
  }
  EXPECT_THAT(symbolizer->Warnings(), IsEmpty());
}

TEST_F(Symbolization, WarnsOnceAboutAMissingFile) {
  auto symbolizer = Make();
  const model::Module module = Fixture("gone");
  EXPECT_EQ(FunctionAt(*symbolizer, module, 0x1234), "0x1234");
  EXPECT_EQ(FunctionAt(*symbolizer, module, 0x5678), "0x5678");
  EXPECT_THAT(
      symbolizer->Warnings(),
      ElementsAre(module.path + " is not on this machine; its frames are shown by address"));
}

TEST_F(Symbolization, FindsAFileThatTheKernelCallsDeleted) {
  model::Module module = Fixture("full");
  module.path += " (deleted)";
  const Frames frames = At(*Make(), module, AddressOf("at_fill"));
  EXPECT_EQ(frames[0].function, "fixture::Cart::Fill(int)");
  EXPECT_EQ(frames[0].module, "libfixture.so");
}

TEST_F(Symbolization, LooksBelowTheSysrootAlsoThroughAbsoluteLinks) {
  fs::create_directories(directory_ / "usr/lib/debug");
  fs::copy(kShapes + "/stripped/libfixture.so", directory_ / "usr/lib/libfixture.so.1");
  fs::copy(kShapes + "/debug", directory_ / "usr/lib/debug", fs::copy_options::recursive);
  fs::create_symlink("/usr/lib/libfixture.so.1", directory_ / "usr/lib/libfixture.so");
  model::Module module = Fixture("full");
  module.path = "/usr/lib/libfixture.so";
  auto symbolizer = Make({"/usr/lib/debug"}, directory_);
  EXPECT_EQ(FunctionAt(*symbolizer, module, AddressOf("at_local")), "fixture::Local()");
  EXPECT_THAT(symbolizer->Warnings(), IsEmpty());
}

TEST_F(Symbolization, CallsCodeWithoutAFileByItsMapping) {
  auto symbolizer = Make();
  for (const auto& [path, expected] : {std::pair<const char*, const char*>{"[vdso]", "[vdso]"},
                                       {"linux-vdso.so.1", "[vdso]"},
                                       {"[anonymous]", "[anonymous]"}}) {
    model::Module module;
    module.path = path;
    const Frames frames = At(*symbolizer, module, 0x10);
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].kind, model::Frame::Kind::kSynthetic);
    EXPECT_EQ(frames[0].function, expected);
  }
  EXPECT_THAT(symbolizer->Warnings(), IsEmpty());
}

TEST_F(Symbolization, DoesNotWaitOnAPipeNorReadADirectory) {
  ASSERT_EQ(mkfifo((directory_ / "libfixture.so").c_str(), 0600), 0);
  auto symbolizer = Make();
  model::Module module = Fixture("full");
  for (const fs::path& path : {directory_ / "libfixture.so", directory_}) {
    module.path = path;
    EXPECT_EQ(FunctionAt(*symbolizer, module, 0x10), "0x10");
  }
  EXPECT_EQ(symbolizer->Warnings().size(), 2U);
}

TEST_F(Symbolization, SaysWhatIsNoElfFileAndWhatHasNoPath) {
  std::ofstream(directory_ / "libfixture.so") << "INPUT(libc.so.6)\n";
  auto symbolizer = Make();
  model::Module module = Fixture("full");
  module.path = directory_ / "libfixture.so";
  EXPECT_EQ(FunctionAt(*symbolizer, module, 0x10), "0x10");
  module.path = "libfixture.so";
  EXPECT_EQ(FunctionAt(*symbolizer, module, 0x10), "0x10");
  module.path = "";
  EXPECT_EQ(FunctionAt(*symbolizer, module, 0x10), "0x10");
  ASSERT_EQ(symbolizer->Warnings().size(), 3U);
  EXPECT_THAT(symbolizer->Warnings()[0], HasSubstr("is no ELF file"));
  EXPECT_THAT(symbolizer->Warnings()[1],
              HasSubstr("libfixture.so was recorded without its folder"));
  EXPECT_THAT(symbolizer->Warnings()[2], HasSubstr("a module without a name"));
}

TEST_F(Symbolization, SurvivesALibraryThatIsCutShort) {
  std::ifstream in(kShapes + "/full/libfixture.so", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::vector<uint64_t> addresses = {AddressOf("at_fill"), AddressOf("at_innermost"), 0,
                                           UINT64_MAX};
  for (size_t size = 0; size < bytes.size(); size += 97) {
    const fs::path path = directory_ / std::to_string(size);
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(size));
    model::Module module = Fixture("full");
    module.path = path;
    const std::vector<Frames> answers = Make()->Symbolize(module, addresses);
    ASSERT_EQ(answers.size(), addresses.size());
    for (const Frames& frames : answers) ASSERT_FALSE(frames.empty());
    fs::remove(path);
  }
}

}  // namespace
}  // namespace heapecho::symbolizer

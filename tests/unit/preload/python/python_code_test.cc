// SPDX-License-Identifier: Apache-2.0
#include "preload/stack/python_code.h"

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "preload/base/counters.h"
#include "tests/unit/preload/python/fake_python.h"

namespace heapecho::stack {
namespace {

std::vector<size_t> g_written;  // offsets

void Note(size_t offset, size_t) { g_written.push_back(offset); }
void Ignore(size_t, size_t) {}

class PythonCode : public testing::TestWithParam<uint32_t> {
 protected:
  PythonFrame FrameOf(uintptr_t code) {
    return {.code = code, .key = KeyOfCode(fake_.layout(), code), .mark = 0, .instruction = 0};
  }
  uint32_t IdOf(CodeTable& table, uintptr_t code) { return table.IdOf(fake_.interpreter(), FrameOf(code)); }

  FakePython fake_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Version, PythonCode, testing::Range(8u, 16u),
                         [](const auto& version) { return "3_" + std::to_string(version.param); });

struct Record {
  wire::CodeRecord head;
  std::string name, file, table;
};

Record RecordAt(const char* log, size_t offset) {
  Record record;
  std::memcpy(&record.head, log + offset, sizeof record.head);
  const char* tail = log + offset + sizeof record.head;
  record.name.assign(tail, record.head.name_length);
  record.file.assign(tail + record.head.name_length, record.head.file_length);
  record.table.assign(tail + record.head.name_length + record.head.file_length, record.head.table_length);
  return record;
}

std::string Utf8(const PythonText& text, size_t room = 1000) {
  std::string out(room, '\0');
  const size_t length = ToUtf8(text, out.data(), room);
  EXPECT_EQ(ToUtf8(text, nullptr, room), length);
  out.resize(length);
  return out;
}

TEST_P(PythonCode, NamesAreUtf8OfEachWidth) {
  const auto utf8 = [this](const std::u32string& text) { return Utf8(TextOf(fake_.layout(), fake_.String(text))); };
  EXPECT_EQ(utf8(U""), "");
  EXPECT_EQ(utf8(U"plain"), "plain");
  EXPECT_EQ(utf8(U"na\u00efve"), "na\xc3\xafve");
  EXPECT_EQ(utf8(U"\u0444\u0443"), "\xd1\x84\xd1\x83");
  EXPECT_EQ(utf8(U"\u4e2d"), "\xe4\xb8\xad");
  EXPECT_EQ(utf8(U"a\U0001f600b"), "a\xf0\x9f\x98\x80" "b");
}

TEST_P(PythonCode, WhatHasNoEncodingIsReplaced) {
  std::u32string undecodable = U"/tmp/x";
  undecodable += static_cast<char32_t>(0xdc80);
  EXPECT_EQ(Utf8(TextOf(fake_.layout(), fake_.String(undecodable))), "/tmp/x\xef\xbf\xbd");
}

TEST_P(PythonCode, NamesAreCutBetweenCharacters) {
  const PythonText text = TextOf(fake_.layout(), fake_.String(U"\u4e2d\u4e2d\u4e2d"));
  EXPECT_EQ(Utf8(text, 8), "\xe4\xb8\xad\xe4\xb8\xad");
}

TEST_P(PythonCode, AStringOfASubclassHasItsCharactersElsewhere) {
  const uintptr_t string = fake_.String(U"ascii");
  const char elsewhere[] = "other";
  FakePython::At<uint32_t>(string + fake_.layout().string_state) = 1u << 2;  // neither compact nor ASCII
  FakePython::At<const char*>(string + fake_.layout().string_compact) = elsewhere;
  EXPECT_EQ(Utf8(TextOf(fake_.layout(), string)), "other");
  FakePython::At<const char*>(string + fake_.layout().string_compact) = nullptr;
  EXPECT_EQ(Utf8(TextOf(fake_.layout(), string)), "");
}

TEST_P(PythonCode, ARecordHoldsNameFileAndLines) {
  CodeTable table = {};
  ASSERT_TRUE(table.Initialize(1 << 20, Note));
  g_written.clear();
  const uintptr_t code = fake_.Code(U"fünf", U"/srv/ä.py", 17, std::string("\x01\x00\xff", 3));
  EXPECT_EQ(IdOf(table, code), 1u);
  ASSERT_EQ(g_written.size(), 1u);
  const Record record = RecordAt(table.log(), g_written[0]);
  EXPECT_EQ(record.head.id, 1u);
  EXPECT_EQ(record.head.first_line, 17);
  EXPECT_EQ(record.head.length % 8, 0u);
  EXPECT_EQ(record.name, GetParam() >= 11 ? "Class.f\xc3\xbcnf" : "f\xc3\xbcnf");
  EXPECT_EQ(record.file, "/srv/\xc3\xa4.py");
  EXPECT_EQ(record.table, std::string("\x01\x00\xff", 3));
  const wire::LineTable expected = GetParam() < 10    ? wire::LineTable::kLnotab
                                   : GetParam() == 10 ? wire::LineTable::kLines
                                                      : wire::LineTable::kLocations;
  EXPECT_EQ(record.head.table, static_cast<uint8_t>(expected));
}

// co_lnotab of code that is all on its first line.
TEST_P(PythonCode, AnEmptyLineTableIsAWholeOne) {
  CodeTable table = {};
  ASSERT_TRUE(table.Initialize(1 << 20, Note));
  g_written.clear();
  IdOf(table, fake_.Code(U"<lambda>", U"/srv/app.py", 5, ""));
  const Record record = RecordAt(table.log(), g_written.at(0));
  EXPECT_EQ(record.head.table, static_cast<uint8_t>(fake_.layout().line_table));
  EXPECT_EQ(record.head.table_length, 0u);
}

TEST_P(PythonCode, OneCodeHasOneId) {
  CodeTable table = {};
  ASSERT_TRUE(table.Initialize(1 << 20, Ignore));
  std::vector<uintptr_t> codes;
  for (int i = 0; i < 1000; ++i) codes.push_back(fake_.Code(U"same name"));
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < codes.size(); ++i) ASSERT_EQ(IdOf(table, codes[i]), i + 1);
  }
}

// A code object dies and another one comes to lie at its address, with all that it refers to at the old addresses.
TEST_P(PythonCode, AnotherOneAtTheSameAddressIsAnother) {
  const PythonLayout& at = fake_.layout();
  const uintptr_t code = fake_.Code(U"same", U"/srv/same.py", 3, "0123456789abcdefgh");
  const uint64_t key = KeyOfCode(at, code);
  const auto differs = [&] { return KeyOfCode(at, code) != key; };
  EXPECT_FALSE(differs());
  FakePython::At<int32_t>(code + at.code_first_line) = 4;
  EXPECT_TRUE(differs());
  FakePython::At<int32_t>(code + at.code_first_line) = 3;
  for (const uint16_t member : {at.code_name, at.code_file, at.code_lines}) {
    auto& pointer = FakePython::At<uintptr_t>(code + member);
    const uintptr_t old = pointer;
    pointer = member == at.code_lines ? fake_.Bytes("0123456789abcdefgh") : fake_.String(U"same");
    EXPECT_TRUE(differs());
    pointer = old;
  }
  EXPECT_FALSE(differs());
  if (at.code_version != 0) {
    FakePython::At<uint32_t>(code + at.code_version) += 1;
    EXPECT_TRUE(differs());
  }
}

TEST_P(PythonCode, WithoutAVersionWhatItsStringsHoldTellsThemApart) {
  const PythonLayout& at = fake_.layout();
  const uintptr_t code = fake_.Code(U"same", U"/srv/same.py", 3, "0123456789abcdefgh");
  if (at.code_version != 0) FakePython::At<uint32_t>(code + at.code_version) = 0;  // they have run out
  const uint64_t key = KeyOfCode(at, code);
  const auto changed = [&](uintptr_t address) {
    auto& byte = FakePython::At<char>(address);
    byte = static_cast<char>(byte + 1);
    const bool differs = KeyOfCode(at, code) != key;
    byte = static_cast<char>(byte - 1);
    return differs;
  };
  const auto member = [code](uint16_t offset) { return FakePython::At<uintptr_t>(code + offset); };
  EXPECT_TRUE(changed(member(at.code_name) + at.string_ascii + 3));
  EXPECT_TRUE(changed(member(at.code_file) + at.string_ascii + 11));
  EXPECT_TRUE(changed(member(at.code_lines) + at.bytes_data));
  EXPECT_TRUE(changed(member(at.code_lines) + at.bytes_data + 17));
  EXPECT_TRUE(changed(member(at.code_lines) + at.bytes_size));
  // Where CPython has hashed the name, that is asked instead.
  FakePython::At<uint64_t>(member(at.code_name) + at.string_hash) = 12345;
  const uint64_t hashed = KeyOfCode(at, code);
  FakePython::At<uint64_t>(member(at.code_name) + at.string_hash) = 12346;
  EXPECT_NE(KeyOfCode(at, code), hashed);
}

TEST_P(PythonCode, AFullTableRefusesAndCounts) {
  CodeTable table = {};
  ASSERT_TRUE(table.Initialize(8192, Ignore));
  auto& full = base::g_counters[static_cast<size_t>(base::Counter::k_python_code_full)];
  const uint64_t before = full;
  std::vector<uintptr_t> codes;
  for (int i = 0; i < 200; ++i) codes.push_back(fake_.Code(U"some function or other", U"/srv/some/file.py", i));
  uint32_t named = 0;
  for (const uintptr_t code : codes) named += IdOf(table, code) != 0;
  EXPECT_GT(named, 20u);
  EXPECT_LT(named, 200u);
  EXPECT_EQ(full - before, 200 - named);
  for (uint32_t i = 0; i < named; ++i) EXPECT_EQ(IdOf(table, codes[i]), i + 1);
}

TEST_P(PythonCode, ALineTableBeyondMeasureIsLeftOut) {
  CodeTable table = {};
  ASSERT_TRUE(table.Initialize(1 << 20, Note));
  g_written.clear();
  EXPECT_EQ(IdOf(table, fake_.Code(U"generated", U"/srv/app.py", 5, std::string(1 << 17, 'x'))), 1u);
  const Record record = RecordAt(table.log(), g_written.at(0));
  EXPECT_EQ(record.head.table, static_cast<uint8_t>(wire::LineTable::kNone));
  EXPECT_EQ(record.head.table_length, 0u);
  EXPECT_EQ(record.head.first_line, 5);
}

TEST_P(PythonCode, AForkedChildTakesBackWhatWasReleased) {
  CodeTable table = {};
  ASSERT_TRUE(table.Initialize(1 << 20, Ignore));
  for (int i = 0; i < 2000; ++i) IdOf(table, fake_.Code(U"function", U"/srv/app.py", i));
  const std::string log(table.log(), table.log_bytes());
  table.Release();
  ASSERT_GT(table.released(), size_t{100} << 10);
  EXPECT_NE(std::string(table.log(), table.log_bytes()), log);
  table.AfterFork(log.data());
  EXPECT_EQ(std::string(table.log(), table.log_bytes()), log);
  EXPECT_EQ(table.released(), 0u);
}

TEST(PythonCodeTable, GivesThreadsThatMeetOneIdAndLosesNoRecord) {
  FakePython fake(13);
  CodeTable table = {};
  ASSERT_TRUE(table.Initialize(1 << 20, Ignore));
  std::vector<PythonFrame> frames;
  for (int i = 0; i < 500; ++i) {
    const uintptr_t code = fake.Code(U"f", U"/srv/app.py", i);
    frames.push_back({.code = code, .key = KeyOfCode(fake.layout(), code), .mark = 0, .instruction = 0});
  }
  std::vector<uint32_t> ids[4];
  std::vector<std::thread> threads;
  for (auto& mine : ids) {
    threads.emplace_back([&] {
      for (const PythonFrame& frame : frames) mine.push_back(table.IdOf(fake.interpreter(), frame));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& other : ids) EXPECT_EQ(other, ids[0]);
  std::vector<bool> recorded(5000);
  for (size_t at = 0; at < table.log_bytes();) {
    const Record record = RecordAt(table.log(), at);
    ASSERT_NE(record.head.length, 0u);
    recorded[record.head.id] = true;
    at += record.head.length;
  }
  for (const uint32_t id : ids[0]) EXPECT_TRUE(recorded[id]);
}

}  // namespace
}  // namespace heapecho::stack

// SPDX-License-Identifier: Apache-2.0
// Call frame information written by hand, and real one with bytes changed at random.
#include "preload/stack/cfi.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "preload/stack/libunwind_step.h"
#include "preload/stack/native_unwinder.h"

namespace heapecho::stack {
namespace {

// Bytes of a section, and the addresses that they will have.
class Bytes {
 public:
  Bytes() { data_.reserve(4096); }  // addresses stay
  size_t size() const { return data_.size(); }
  uintptr_t address(size_t at) const { return reinterpret_cast<uintptr_t>(data_.data()) + at; }
  template <typename T>
  void Put(T value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    data_.insert(data_.end(), bytes, bytes + sizeof(value));
  }
  void Put(const std::vector<uint8_t>& bytes) {
    data_.insert(data_.end(), bytes.begin(), bytes.end());
  }
  template <typename T>
  void Patch(size_t at, T value) {
    std::memcpy(data_.data() + at, &value, sizeof(value));
  }
  CfiSection Section() const { return {address(0), address(0), address(data_.size())}; }

 private:
  std::vector<uint8_t> data_;
};

struct Shape {
  uint8_t version = 1;
  std::string augmentation = "zR";
  uint8_t encoding = 0x00;  // absolute, 8 bytes
  uint8_t return_column = kReturnAddress;
  std::vector<uint8_t> common = {0x0c, 7, 8, 0x80 | kReturnAddress,
                                 1};  // CFA = rsp + 8, RA at CFA - 8
  std::vector<uint8_t> program;
  bool table = true;
};

constexpr uintptr_t kBegin = 0x10000, kEnd = 0x10100;

void PutEncoded(Bytes* bytes, uint8_t encoding, uintptr_t value, bool pointer) {
  if (pointer && (encoding & 0x70) == 0x10) value -= bytes->address(bytes->size());
  if (pointer && (encoding & 0x70) == 0x30) value -= bytes->address(0);
  switch (encoding & 0x0f) {
    case 0x02:
    case 0x0a:
      return bytes->Put(static_cast<uint16_t>(value));
    case 0x03:
    case 0x0b:
      return bytes->Put(static_cast<uint32_t>(value));
    case 0x01: {
      do {
        const auto low = static_cast<uint8_t>(value & 0x7f);
        value >>= 7;
        bytes->Put(static_cast<uint8_t>(low | (value != 0 ? 0x80 : 0)));
      } while (value != 0);
      return;
    }
    default:
      return bytes->Put(static_cast<uint64_t>(value));
  }
}

// A header, one common part and one description of [begin, end).
Bytes SectionOf(const Shape& shape, uintptr_t begin = kBegin, uintptr_t end = kEnd) {
  Bytes bytes;
  bytes.Put(uint8_t{1});
  bytes.Put(uint8_t{0x1b});
  bytes.Put(uint8_t{shape.table ? uint8_t{0x03} : uint8_t{0xff}});
  bytes.Put(uint8_t{shape.table ? uint8_t{0x3b} : uint8_t{0xff}});
  bytes.Put(uint32_t{0});  // where the entries begin
  if (shape.table) {
    bytes.Put(uint32_t{1});
    bytes.Put(static_cast<int32_t>(begin - bytes.address(0)));
    bytes.Put(uint32_t{0});  // where the description is
  }
  const size_t common = bytes.size();
  bytes.Patch(4, static_cast<int32_t>(common - 4));
  bytes.Put(uint32_t{0});
  bytes.Put(uint32_t{0});
  bytes.Put(shape.version);
  for (const char letter : shape.augmentation) bytes.Put(letter);
  bytes.Put('\0');
  bytes.Put(uint8_t{1});     // code alignment
  bytes.Put(uint8_t{0x78});  // data alignment: -8
  bytes.Put(shape.return_column);
  if (!shape.augmentation.empty()) {
    std::vector<uint8_t> data;
    for (const char letter : shape.augmentation) {
      if (letter == 'R') data.push_back(shape.encoding);
      if (letter == 'L') data.push_back(0x1b);
      if (letter == 'P') data.insert(data.end(), {0x9b, 1, 2, 3, 4});
    }
    bytes.Put(static_cast<uint8_t>(data.size()));
    bytes.Put(data);
  }
  bytes.Put(shape.common);
  bytes.Patch(common, static_cast<uint32_t>(bytes.size() - common - 4));

  const size_t description = bytes.size();
  if (shape.table) bytes.Patch(16, static_cast<uint32_t>(description));
  bytes.Put(uint32_t{0});
  bytes.Put(static_cast<uint32_t>(description + 4 - common));
  PutEncoded(&bytes, shape.encoding, begin, true);
  PutEncoded(&bytes, shape.encoding, end - begin, false);
  if (!shape.augmentation.empty()) bytes.Put(uint8_t{0});
  bytes.Put(shape.program);
  bytes.Patch(description, static_cast<uint32_t>(bytes.size() - description - 4));
  bytes.Put(uint32_t{0});  // the end of the entries
  return bytes;
}

CfiResult RowAt(const Bytes& bytes, uintptr_t ip, Row* row) {
  const CfiSection section = bytes.Section();
  FrameDescription description;
  if (!FindFrameDescription(section, ip, &description)) return CfiResult::kCorrupt;
  return FindRow(section, description, ip, row);
}

TEST(FrameDescription, IsFoundFromItsFirstToItsLastByte) {
  // The table's words are relative to the header, so the code must be near: it is only spoken of.
  for (const bool table : {true, false}) {
    Shape shape;
    shape.table = table;
    Bytes probe;
    const uintptr_t near = probe.address(0) & ~uintptr_t{0xfff};
    const Bytes bytes = SectionOf(shape, near, near + 0x100);
    const CfiSection section = bytes.Section();
    FrameDescription description;
    EXPECT_FALSE(FindFrameDescription(section, near - 1, &description));
    EXPECT_TRUE(FindFrameDescription(section, near, &description));
    EXPECT_EQ(description.begin, near);
    EXPECT_EQ(description.end, near + 0x100);
    EXPECT_FALSE(description.signal_frame);
    EXPECT_TRUE(FindFrameDescription(section, near + 0xff, &description));
    EXPECT_FALSE(FindFrameDescription(section, near + 0x100, &description));
  }
}

TEST(FrameDescription, UnderstandsEveryEncodingOfItsRange) {
  Bytes probe;
  const std::vector<uint8_t> encodings = {0x00, 0x01, 0x02, 0x03, 0x04, 0x10,
                                          0x1b, 0x1c, 0x30, 0x3b, 0x3c};
  for (const uint8_t encoding : encodings) {
    Shape shape;
    shape.encoding = encoding;
    shape.table = false;
    uintptr_t begin = kBegin;
    if ((encoding & 0x70) != 0) begin = probe.address(0) & ~uintptr_t{0xfff};
    if ((encoding & 0x0f) == 0x02) begin = 0x8000;
    FrameDescription description;
    const Bytes bytes = SectionOf(shape, begin, begin + 0x100);
    ASSERT_TRUE(FindFrameDescription(bytes.Section(), begin + 7, &description))
        << static_cast<int>(encoding);
    EXPECT_EQ(description.begin, begin);
    EXPECT_EQ(description.end, begin + 0x100);
  }
}

TEST(FrameDescription, RefusesWhatItDoesNotUnderstand) {
  FrameDescription description;
  Shape plain;
  plain.table = false;
  const auto found = [&](const Shape& shape) {
    const Bytes bytes = SectionOf(shape);
    return FindFrameDescription(bytes.Section(), kBegin, &description);
  };
  EXPECT_TRUE(found(plain));
  Shape shape = plain;
  shape.version = 2;
  EXPECT_FALSE(found(shape));
  shape = plain;
  shape.return_column = 3;
  EXPECT_FALSE(found(shape));
  shape = plain;
  shape.encoding = 0x80;  // a pointer to the pointer
  EXPECT_FALSE(found(shape));
  shape = plain;
  shape.augmentation = "zB";
  EXPECT_FALSE(found(shape));
  shape = plain;
  shape.augmentation = "eh";
  EXPECT_FALSE(found(shape));
}

TEST(FrameDescription, KnowsSignalFramesPersonalitiesAndNoAugmentationAtAll) {
  FrameDescription description;
  Shape shape;
  shape.table = false;
  shape.augmentation = "zPLRS";
  Bytes bytes = SectionOf(shape);
  ASSERT_TRUE(FindFrameDescription(bytes.Section(), kBegin, &description));
  EXPECT_TRUE(description.signal_frame);
  shape.augmentation = "";
  bytes = SectionOf(shape);
  ASSERT_TRUE(FindFrameDescription(bytes.Section(), kBegin, &description));
  EXPECT_FALSE(description.signal_frame);
}

Row RowOf(const std::vector<uint8_t>& program, uintptr_t offset = 0,
          CfiResult expected = CfiResult::kDone) {
  Shape shape;
  shape.table = false;
  shape.program = program;
  Row row{};
  EXPECT_EQ(RowAt(SectionOf(shape), kBegin + offset, &row), expected);
  return row;
}

TEST(FindRow, HoldsFromTheInstructionAfterWhichItIsWritten) {
  // advance 1; def_cfa_offset 16; offset rbp at -16; advance 3; def_cfa_register rbp
  const std::vector<uint8_t> program = {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6};
  Row row = RowOf(program, 0);
  EXPECT_EQ(row.cfa_register, kRsp);
  EXPECT_EQ(row.cfa_value, 8);
  EXPECT_EQ(row.kind[kRbp], RuleKind::kSame);
  row = RowOf(program, 1);
  EXPECT_EQ(row.cfa_value, 16);
  EXPECT_EQ(row.kind[kRbp], RuleKind::kAt);
  EXPECT_EQ(row.value[kRbp], -16);
  row = RowOf(program, 3);
  EXPECT_EQ(row.cfa_register, kRsp);
  row = RowOf(program, 4);
  EXPECT_EQ(row.cfa_register, kRbp);
  EXPECT_EQ(row.cfa_value, 16);
}

TEST(FindRow, AdvancesByOneTwoAndFourBytes) {
  const std::vector<uint8_t> program = {0x02, 10,   0x0e, 16, 0x03, 20, 0,    0x0e,
                                        24,   0x04, 30,   0,  0,    0,  0x0e, 32};
  EXPECT_EQ(RowOf(program, 9).cfa_value, 8);
  EXPECT_EQ(RowOf(program, 10).cfa_value, 16);
  EXPECT_EQ(RowOf(program, 30).cfa_value, 24);
  EXPECT_EQ(RowOf(program, 60).cfa_value, 32);
}

TEST(FindRow, RestoresRegistersAndRows) {
  // remember; def_cfa_offset 64; offset rbx at -24; advance 1; restore_state; advance 1; restore
  // rbx
  const std::vector<uint8_t> program = {0x0a, 0x0e, 64, 0x83, 3, 0x41, 0x0b, 0x83, 4, 0x41, 0xc3};
  EXPECT_EQ(RowOf(program, 0).cfa_value, 64);
  EXPECT_EQ(RowOf(program, 0).value[kRbx], -24);
  EXPECT_EQ(RowOf(program, 1).cfa_value, 8);
  EXPECT_EQ(RowOf(program, 1).value[kRbx], -32);
  EXPECT_EQ(RowOf(program, 2).kind[kRbx], RuleKind::kSame);
  RowOf({0x0b}, 0, CfiResult::kCorrupt);
  RowOf({0x0a, 0x0a}, 0, CfiResult::kBeyondUs);
}

TEST(FindRow, KnowsTheRareInstructions) {
  EXPECT_EQ(RowOf({0x07, kReturnAddress}).kind[kReturnAddress], RuleKind::kUndefined);
  EXPECT_EQ(RowOf({0x08, kRbx}).kind[kRbx], RuleKind::kSame);
  EXPECT_EQ(RowOf({0x09, kRbp, kR12}).value[kRbp], kR12);
  EXPECT_EQ(RowOf({0x05, kR12, 3}).value[kR12], -24);
  EXPECT_EQ(RowOf({0x11, kR12, 0x7d}).value[kR12], 24);
  EXPECT_EQ(RowOf({0x12, kRbp, 0x7e}).cfa_value, 16);
  EXPECT_EQ(RowOf({0x13, 0x7c}).cfa_value, 32);
  EXPECT_EQ(RowOf({0x14, kRbx, 2}).kind[kRbx], RuleKind::kIs);
  EXPECT_EQ(RowOf({0x15, kRbx, 0x7e}).value[kRbx], 16);
  EXPECT_EQ(RowOf({0x2e, 48}).cfa_value, 8);
  EXPECT_EQ(RowOf({0x90, 1}).kind[kReturnAddress], RuleKind::kAt);
  RowOf({0x3f}, 0, CfiResult::kBeyondUs);  // no such instruction
  RowOf({0x0c, kRbp, 0xff, 0xff, 0xff, 0xff, 0x7f}, 0, CfiResult::kBeyondUs);  // an absurd offset
  RowOf({0x0c, kRbp}, 0, CfiResult::kCorrupt);                                 // cut off
}

class OneStep {
 public:
  explicit OneStep(const std::vector<uint8_t>& program) {
    Shape shape;
    shape.table = false;
    shape.program = program;
    bytes_ = SectionOf(shape);
    for (size_t i = 0; i < std::size(stack_); ++i) stack_[i] = 1000 + i;
    registers_.known = 0;
    registers_.Set(kRsp, Address(0));
    registers_.Set(kRbp, Address(20));
  }
  uintptr_t Address(size_t i) const { return reinterpret_cast<uintptr_t>(&stack_[i]); }
  RegisterSet& registers() { return registers_; }
  uintptr_t cfa() const { return cfa_; }
  CfiResult Run() {
    Row row;
    EXPECT_EQ(RowAt(bytes_, kBegin, &row), CfiResult::kDone);
    StackReader reader(StackBounds{}, Address(0));
    return StepByRow(bytes_.Section(), row, &reader, &registers_, &cfa_);
  }

 private:
  Bytes bytes_;
  uintptr_t stack_[64];
  RegisterSet registers_{};
  uintptr_t cfa_ = 0;
};

TEST(StepByRow, GoesToTheCaller) {
  OneStep step({0x0e, 32, 0x86, 2});
  ASSERT_EQ(step.Run(), CfiResult::kDone);
  EXPECT_EQ(step.cfa(), step.Address(4));
  EXPECT_EQ(step.registers().value[kReturnAddress], 1003u);
  EXPECT_EQ(step.registers().value[kRbp], 1002u);
  EXPECT_EQ(step.registers().value[kRsp], step.Address(4));
}

TEST(StepByRow, EvaluatesTheExpressionOfALinkageTable) {
  // CFA = rsp + 8 + ((rip & 15) >= 11) << 3
  const std::vector<uint8_t> program = {0x0f, 11,   0x77, 8,    0x80, 0,   0x3f,
                                        0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};
  for (const uintptr_t rip : {0x100u, 0x10au, 0x10bu, 0x10fu}) {
    OneStep step(program);
    step.registers().Set(kReturnAddress, rip);
    ASSERT_EQ(step.Run(), CfiResult::kDone);
    EXPECT_EQ(step.cfa(), step.Address((rip & 15) >= 11 ? 2 : 1));
  }
}

TEST(StepByRow, EvaluatesConstantsSumsAndFetches) {
  // rbx is at what the CFA pushes, plus 16; r12 is 300 - 45; r13 is -5 + 2
  OneStep step({0x10, kRbx, 2,    0x23, 16,   0x16, kR12, 6,    0x0a, 0x2c, 1,
                0x08, 45,   0x1c, 0x16, kR13, 4,    0x09, 0xfb, 0x32, 0x22});
  ASSERT_EQ(step.Run(), CfiResult::kDone);
  EXPECT_EQ(step.registers().value[kRbx], 1003u);
  EXPECT_EQ(step.registers().value[kR12], 255u);
  EXPECT_EQ(static_cast<intptr_t>(step.registers().value[kR13]), -3);
}

TEST(StepByRow, SaysWhatItCannotKnow) {
  EXPECT_EQ(OneStep({0x0c, kRbx, 8}).Run(), CfiResult::kUnknownRegister);
  EXPECT_EQ(OneStep({0x0f, 2, 0x73, 8}).Run(), CfiResult::kUnknownRegister);  // breg3
  EXPECT_EQ(OneStep({0x0f, 1, 0x06}).Run(), CfiResult::kCorrupt);  // a fetch from nothing
  EXPECT_EQ(OneStep({0x0f, 0}).Run(), CfiResult::kCorrupt);
  EXPECT_EQ(OneStep({0x0f, 2, 0x12, 0x12}).Run(), CfiResult::kBeyondUs);       // dup
  EXPECT_EQ(OneStep({0x0f, 3, 0x38, 0x06, 0x96}).Run(), CfiResult::kCorrupt);  // what lies at 8
  EXPECT_EQ(OneStep({0x07, kReturnAddress}).Run(), CfiResult::kOutermost);
}

TEST(StepByRow, DoesNotKnowACallersRegisterThatWasLost) {
  OneStep step({0x07, kRbp});
  ASSERT_EQ(step.Run(), CfiResult::kDone);
  EXPECT_FALSE(step.registers().Knows(kRbp));
  EXPECT_FALSE(step.registers().Knows(kRbx));
  EXPECT_TRUE(step.registers().Knows(kRsp));
}

CompactRow Compact(const std::vector<uint8_t>& program) {
  Shape shape;
  shape.table = false;
  shape.program = program;
  const Bytes bytes = SectionOf(shape);
  Row row{};
  EXPECT_EQ(RowAt(bytes, kBegin, &row), CfiResult::kDone);
  return CompactRow::From(bytes.Section(), row);
}

TEST(CompactRow, SaysTheSameAsTheRow) {
  CompactRow row = Compact({0x0c, kRsp, 0x80, 0x80, 0x04, 0x86, 4});
  EXPECT_EQ(row.base(), CompactRow::kFromRsp);
  EXPECT_EQ(row.cfa_offset(), 65536);
  EXPECT_TRUE(row.saves_rbp());
  EXPECT_EQ(row.rbp_offset(), -32);
  row = Compact({0x0c, kRbp, 16});
  EXPECT_EQ(row.base(), CompactRow::kFromRbp);
  EXPECT_FALSE(row.saves_rbp());
  EXPECT_FALSE(row.outermost());
  row = Compact({0x07, kReturnAddress});
  EXPECT_TRUE(row.outermost());
  // A realigned stack: CFA at rbp - 8, the caller's rbp at rbp.
  row = Compact({0x0f, 3, 0x76, 0x78, 0x06, 0x10, kRbp, 2, 0x76, 0});
  EXPECT_EQ(row.base(), CompactRow::kAtRbp);
  EXPECT_EQ(row.cfa_offset(), -8);
  EXPECT_EQ(row.rbp_offset(), 0);
}

TEST(CompactRow, HasNoFormForWhatOneWordCannotSay) {
  EXPECT_EQ(Compact({0x0c, kRbx, 16}).base(), CompactRow::kNone);
  EXPECT_EQ(Compact({0x0c, kRsp, 0x80, 0x80, 0x80, 0x08}).base(), CompactRow::kNone);
  EXPECT_EQ(Compact({0x90, 2}).base(), CompactRow::kNone);  // the return address elsewhere
  EXPECT_EQ(Compact({0x09, kRbp, kR12}).base(), CompactRow::kNone);
  EXPECT_EQ(Compact({0x87, 2}).base(), CompactRow::kNone);  // a rule for rsp itself
  EXPECT_EQ(Compact({0x0f, 2, 0x76, 0x78}).base(), CompactRow::kNone);
}

// A copy of a real library's segment with its CFI, between pages that cannot be touched. All
// pointers in it are relative, so that it describes code as far away as the copy is.
class MovedSection {
 public:
  explicit MovedSection(uintptr_t code) {
    EXPECT_TRUE(CfiSectionOf(code, &original_));
    const size_t bytes = original_.high - original_.low;
    const size_t pages = (bytes + 4095) & ~size_t{4095};
    mapped_ = pages + 2 * 4096;
    memory_ =
        static_cast<char*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(static_cast<void*>(memory_), MAP_FAILED);
    EXPECT_EQ(mprotect(memory_ + 4096, pages, PROT_READ | PROT_WRITE), 0);
    // The end touches the page behind; what it was aligned to keeps its alignment to words.
    begin_ = memory_ + 4096 + ((pages - bytes) & ~size_t{7});
    Reset();
  }
  ~MovedSection() { munmap(memory_, mapped_); }
  void Reset() { std::memcpy(begin_, reinterpret_cast<void*>(original_.low), size()); }
  size_t size() const { return original_.high - original_.low; }
  size_t header() const { return original_.header - original_.low; }
  char* bytes() { return begin_; }
  uintptr_t Moved(uintptr_t address) const {
    return address - original_.low + reinterpret_cast<uintptr_t>(begin_);
  }
  CfiSection section() const {
    return {Moved(original_.header), Moved(original_.low), Moved(original_.high)};
  }
  const CfiSection& original() const { return original_; }

 private:
  CfiSection original_{};
  char* memory_;
  char* begin_;
  size_t mapped_;
};

TEST(CorruptFrameInformation, ReadsTheSameFromAMovedCopy) {
  InitializeNativeUnwinder();
  const auto here = reinterpret_cast<uintptr_t>(&std::qsort);  // somewhere in the C library
  const MovedSection moved(here);
  int described = 0;
  for (uintptr_t ip = here - 20'000; ip < here + 20'000; ip += 13) {
    FrameDescription original, copy;
    const bool found = FindFrameDescription(moved.original(), ip, &original);
    ASSERT_EQ(FindFrameDescription(moved.section(), moved.Moved(ip), &copy), found);
    if (!found) continue;
    ++described;
    Row a, b;
    ASSERT_EQ(FindRow(moved.original(), original, ip, &a), CfiResult::kDone);
    ASSERT_EQ(FindRow(moved.section(), copy, moved.Moved(ip), &b), CfiResult::kDone);
    ASSERT_EQ(std::memcmp(a.kind, b.kind, sizeof(a.kind)), 0);
    ASSERT_EQ(std::memcmp(a.value, b.value, sizeof(a.value)), 0);
    ASSERT_EQ(a.cfa_value, b.cfa_value);
  }
  EXPECT_GT(described, 1000);
}

TEST(CorruptFrameInformation, NeverLeadsOutsideOfItsSegment) {
  InitializeNativeUnwinder();
  const auto here = reinterpret_cast<uintptr_t>(&std::qsort);  // somewhere in the C library
  MovedSection moved(here);
  std::mt19937_64 random(7);
  uintptr_t words[512];
  int steps = 0, by_libunwind = 0;
  for (int round = 0; round < 20'000; ++round) {
    const uintptr_t ip = moved.Moved(here - 20'000 + random() % 40'000);
    FrameDescription description;
    const CfiSection section = moved.section();
    std::vector<std::pair<size_t, char>> changes;
    const auto change = [&](size_t at) {
      if (at >= moved.size()) return;
      changes.emplace_back(at, moved.bytes()[at]);
      moved.bytes()[at] = static_cast<char>(random());
    };
    // In the entry itself, which the intact section leads to, or anywhere from the header on.
    if (round % 8 != 0 && FindFrameDescription(section, ip, &description)) {
      const size_t program = description.program - section.low;
      const size_t common = description.common_program - section.low;
      for (size_t i = random() % 4 + 1; i > 0; --i) {
        change(round % 2 == 0 ? program - 20 + random() % 60 : common - 20 + random() % 40);
      }
    }
    for (size_t i = random() % 30; i > 0; --i) {
      change(moved.header() + random() % (moved.size() - moved.header()));
    }
    if (round % 16 == 0) change(moved.header() + random() % 12);
    if (FindFrameDescription(section, ip, &description)) {
      Row row;
      CfiResult result = FindRow(section, description, ip, &row);
      for (uintptr_t& word : words) {
        word = random() % 4 == 0 ? random() : reinterpret_cast<uintptr_t>(words + random() % 512);
      }
      StackReader reader(StackBounds{}, words[0]);
      RegisterSet registers{};
      for (uint32_t i = 0; i < kRegisters; ++i) registers.Set(i, words[i]);
      registers.Set(kRsp, reinterpret_cast<uintptr_t>(words));
      uintptr_t cfa;
      if (result == CfiResult::kDone) {
        CompactRow::From(section, row);
        result = StepByRow(section, row, &reader, &registers, &cfa);
        ++steps;
      }
      if (result == CfiResult::kBeyondUs) {
        StepByLibunwind(section, description, ip, &reader, &registers, &cfa);
        ++by_libunwind;
      }
    }
    for (auto it = changes.rbegin(); it != changes.rend(); ++it)
      moved.bytes()[it->first] = it->second;
  }
  EXPECT_GT(steps, 1000);
  EXPECT_GT(by_libunwind, 100);
}

}  // namespace
}  // namespace heapecho::stack

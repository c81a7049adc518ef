// SPDX-License-Identifier: Apache-2.0
// Sources: DWARF 5 section 6.4 (call frame information) and 2.5 (expressions); Linux Standard Base
// core 5.0, chapters 10.6 (.eh_frame and .eh_frame_hdr) and 10.5 (pointer encodings).
#include "preload/stack/cfi.h"

#include <cstring>

namespace heapecho::stack {
namespace {

// Pointer encodings (DW_EH_PE): the low four bits say how the value is stored, the next three what
// is added.
constexpr uint8_t kOmitted = 0xff;
constexpr uint8_t kIndirect = 0x80;
constexpr uint8_t kFormMask = 0x0f;
constexpr uint8_t kBaseMask = 0x70;
constexpr uint8_t kAbsolute = 0x00, kPcRelative = 0x10, kHeaderRelative = 0x30;
constexpr uint8_t kHeaderTable = kHeaderRelative | 0x0b;  // pairs of signed 32-bit words

// A position in the section that cannot leave it. After a read beyond the end it stays failed.
class Cursor {
 public:
  Cursor(uintptr_t at, uintptr_t low, uintptr_t end)
      : at_(at), end_(end), ok_(low <= at && at <= end) {}

  bool ok() const { return ok_; }
  uintptr_t at() const { return at_; }
  size_t left() const { return ok_ ? end_ - at_ : 0; }

  template <typename T>
  T Take() {
    if (left() < sizeof(T)) {
      ok_ = false;
      return T{};
    }
    T value;
    std::memcpy(&value, reinterpret_cast<const void*>(at_), sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  void Skip(uint64_t bytes) {
    if (left() < bytes) {
      ok_ = false;
    } else {
      at_ += bytes;
    }
  }

  uint64_t Unsigned() {  // LEB128
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const uint8_t byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0 || !ok_) return value;
    }
  }

  int64_t Signed() {  // LEB128
    uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const uint8_t byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if ((byte & 0x80) != 0 && ok_) continue;
      if ((byte & 0x40) != 0 && shift < 64) value |= ~uint64_t{0} << shift;
      return static_cast<int64_t>(value);
    }
  }

  // The stored number alone, without what its encoding adds to it.
  uint64_t Form(uint8_t encoding) {
    switch (encoding & kFormMask) {
      case 0x00:
      case 0x04:
      case 0x0c:
        return Take<uint64_t>();
      case 0x01:
        return Unsigned();
      case 0x02:
        return Take<uint16_t>();
      case 0x03:
        return Take<uint32_t>();
      case 0x09:
        return static_cast<uint64_t>(Signed());
      case 0x0a:
        return static_cast<uint64_t>(int64_t{Take<int16_t>()});
      case 0x0b:
        return static_cast<uint64_t>(int64_t{Take<int32_t>()});
      default:
        ok_ = false;
        return 0;
    }
  }

  // A pointer to code or data. Not understood: relative to text, function or alignment, and
  // indirect ones, which no frame description's own range uses.
  uintptr_t Pointer(uint8_t encoding, uintptr_t header) {
    const uintptr_t here = at_;
    const uint64_t value = Form(encoding);
    if ((encoding & kIndirect) != 0) ok_ = false;
    switch (encoding & kBaseMask) {
      case kAbsolute:
        return value;
      case kPcRelative:
        return here + value;
      case kHeaderRelative:
        return header + value;
      default:
        ok_ = false;
        return 0;
    }
  }

 private:
  uintptr_t at_, end_;
  bool ok_;
};

Cursor From(const CfiSection& section, uintptr_t at) { return {at, section.low, section.high}; }

// Begins to read the entry at `at`: steps over its length and says where it ends. 0: no entry.
uintptr_t EntryEnd(Cursor* cursor) {
  uint64_t length = cursor->Take<uint32_t>();
  if (length == 0xffffffff) length = cursor->Take<uint64_t>();
  if (!cursor->ok() || length == 0 || length > cursor->left()) return 0;
  return cursor->at() + length;
}

bool ReadCommonPart(const CfiSection& section, uintptr_t at, FrameDescription* description,
                    bool* augmented) {
  Cursor cursor = From(section, at);
  const uintptr_t end = EntryEnd(&cursor);
  if (end == 0) return false;
  cursor = Cursor(cursor.at(), section.low, end);
  if (cursor.Take<uint32_t>() != 0) return false;  // not a common part
  const uint8_t version = cursor.Take<uint8_t>();
  if (version != 1 && version != 3) return false;

  char augmentation[8] = {};
  size_t letters = 0;
  for (;;) {
    const char letter = cursor.Take<char>();
    if (!cursor.ok() || letters == sizeof(augmentation)) return false;
    if (letter == '\0') break;
    augmentation[letters++] = letter;
  }
  description->code_alignment = cursor.Unsigned();
  description->data_alignment = cursor.Signed();
  const uint64_t return_column = version == 1 ? cursor.Take<uint8_t>() : cursor.Unsigned();
  if (return_column != kReturnAddress) return false;

  description->pointer_encoding = kAbsolute;
  description->signal_frame = false;
  *augmented = letters != 0 && augmentation[0] == 'z';
  if (letters != 0 && !*augmented) return false;  // its size is not known
  if (*augmented) {
    const uint64_t size = cursor.Unsigned();
    if (size > cursor.left()) return false;
    const uintptr_t program = cursor.at() + size;
    for (size_t i = 1; i < letters; ++i) {
      switch (augmentation[i]) {
        case 'L':
          cursor.Skip(1);
          break;
        case 'P': {
          const uint8_t encoding = cursor.Take<uint8_t>();
          cursor.Form(encoding);
          break;
        }
        case 'R':
          description->pointer_encoding = cursor.Take<uint8_t>();
          break;
        case 'S':
          description->signal_frame = true;
          break;
        case 'B':  // AArch64's pointer signing, and whatever comes: what follows is not understood
        default:
          return false;
      }
    }
    if (!cursor.ok()) return false;
    cursor = Cursor(program, section.low, end);
  }
  description->common_program = cursor.at();
  description->common_program_end = end;
  return cursor.ok();
}

// Reads the entry at `at` if it describes `ip`. `next` receives where the following entry begins;
// 0: none.
bool ReadDescription(const CfiSection& section, uintptr_t at, uintptr_t ip,
                     FrameDescription* description, uintptr_t* next) {
  *next = 0;
  Cursor cursor = From(section, at);
  const uintptr_t end = EntryEnd(&cursor);
  if (end == 0) return false;
  *next = end;
  cursor = Cursor(cursor.at(), section.low, end);
  const uintptr_t here = cursor.at();
  const uint32_t distance = cursor.Take<uint32_t>();
  if (!cursor.ok() || distance == 0 || distance > here - section.low) return false;
  bool augmented;
  if (!ReadCommonPart(section, here - distance, description, &augmented)) return false;
  description->begin = cursor.Pointer(description->pointer_encoding, section.header);
  const uint64_t length = cursor.Form(description->pointer_encoding);
  description->end = description->begin + length;
  if (!cursor.ok() || ip < description->begin || ip - description->begin >= length) return false;
  if (augmented) cursor.Skip(cursor.Unsigned());
  description->program = cursor.at();
  description->program_end = end;
  return cursor.ok();
}

uint32_t LoadWord(uintptr_t address) {
  uint32_t word;
  std::memcpy(&word, reinterpret_cast<const void*>(address), sizeof(word));
  return word;
}

// An expression, evaluated on a short stack of words.
CfiResult Evaluate(const CfiSection& section, int32_t expression, bool push_cfa, uintptr_t cfa,
                   const RegisterSet& registers, StackReader* stack, uintptr_t* result) {
  Cursor cursor = From(section, section.low + static_cast<uint32_t>(expression));
  const uint64_t length = cursor.Unsigned();
  if (!cursor.ok() || length > cursor.left()) return CfiResult::kCorrupt;
  cursor = Cursor(cursor.at(), section.low, cursor.at() + length);

  constexpr size_t kDepth = 6;
  uintptr_t words[kDepth];
  size_t depth = 0;
  if (push_cfa) words[depth++] = cfa;
  while (cursor.left() != 0) {
    const uint8_t op = cursor.Take<uint8_t>();
    uintptr_t pushed;
    if (op >= 0x30 && op <= 0x4f) {  // DW_OP_lit
      pushed = op - 0x30u;
    } else if (op >= 0x70 && op <= 0x80) {  // DW_OP_breg
      const uint32_t number = op - 0x70u;
      const int64_t offset = cursor.Signed();
      if (!registers.Knows(number)) return CfiResult::kUnknownRegister;
      pushed = registers.value[number] + static_cast<uintptr_t>(offset);
    } else if (op == 0x08) {  // DW_OP_const1u
      pushed = cursor.Take<uint8_t>();
    } else if (op == 0x09) {  // DW_OP_const1s
      pushed = static_cast<uintptr_t>(intptr_t{cursor.Take<int8_t>()});
    } else if (op == 0x0a) {  // DW_OP_const2u
      pushed = cursor.Take<uint16_t>();
    } else if (op == 0x0b) {  // DW_OP_const2s
      pushed = static_cast<uintptr_t>(intptr_t{cursor.Take<int16_t>()});
    } else if (op == 0x0c) {  // DW_OP_const4u
      pushed = cursor.Take<uint32_t>();
    } else if (op == 0x0d) {  // DW_OP_const4s
      pushed = static_cast<uintptr_t>(intptr_t{cursor.Take<int32_t>()});
    } else if (op == 0x10) {  // DW_OP_constu
      pushed = cursor.Unsigned();
    } else if (op == 0x11) {  // DW_OP_consts
      pushed = static_cast<uintptr_t>(cursor.Signed());
    } else if (op == 0x06) {  // DW_OP_deref
      if (depth == 0 || !stack->ReadElsewhere(words[depth - 1], &words[depth - 1])) {
        return CfiResult::kCorrupt;
      }
      continue;
    } else if (op == 0x23) {  // DW_OP_plus_uconst
      const uint64_t addend = cursor.Unsigned();
      if (depth == 0) return CfiResult::kCorrupt;
      words[depth - 1] += addend;
      continue;
    } else {
      if (op != 0x1a && op != 0x1c && op != 0x22 && op != 0x24 && op != 0x2a) {
        return CfiResult::kBeyondUs;
      }
      if (depth < 2) return CfiResult::kCorrupt;
      const uintptr_t top = words[--depth];
      uintptr_t& below = words[depth - 1];
      if (op == 0x1a) {  // DW_OP_and
        below &= top;
      } else if (op == 0x1c) {  // DW_OP_minus
        below -= top;
      } else if (op == 0x22) {  // DW_OP_plus
        below += top;
      } else if (op == 0x24) {  // DW_OP_shl
        below = top < 64 ? below << top : 0;
      } else {  // DW_OP_ge
        below = static_cast<intptr_t>(below) >= static_cast<intptr_t>(top) ? 1 : 0;
      }
      continue;
    }
    if (depth == kDepth) return CfiResult::kBeyondUs;
    words[depth++] = pushed;
  }
  if (!cursor.ok() || depth == 0) return CfiResult::kCorrupt;
  *result = words[depth - 1];
  return CfiResult::kDone;
}

// Whether an expression is rbp + offset, or (`fetched`) the word that lies there.
bool IsSumWithRbp(const CfiSection& section, int32_t expression, int64_t* offset, bool* fetched) {
  Cursor cursor = From(section, section.low + static_cast<uint32_t>(expression));
  const uint64_t length = cursor.Unsigned();
  if (length > cursor.left()) return false;
  cursor = Cursor(cursor.at(), section.low, cursor.at() + length);
  if (cursor.Take<uint8_t>() != 0x70 + kRbp) return false;  // DW_OP_breg6
  *offset = cursor.Signed();
  *fetched = cursor.left() != 0;
  if (*fetched && cursor.Take<uint8_t>() != 0x06) return false;  // DW_OP_deref
  return cursor.ok() && cursor.left() == 0;
}

// Executes the instructions of a common part and of a description.
class Program {
 public:
  Program(const CfiSection& section, const FrameDescription& description, uintptr_t ip, Row* row)
      : section_(section), description_(description), ip_(ip), row_(*row) {}

  CfiResult Run() {
    row_ = {};
    CfiResult result = Execute(description_.common_program, description_.common_program_end, true);
    if (result != CfiResult::kDone) return result;
    initial_ = row_;
    location_ = description_.begin;
    return Execute(description_.program, description_.program_end, false);
  }

 private:
  static constexpr size_t kRemembered = 1;

  void Set(uint64_t number, RuleKind kind, int64_t value) {
    if (number >= kRegisters) return;  // a vector register: no frame hangs on it
    if (value != static_cast<int32_t>(value)) {
      failed_ = true;
      return;
    }
    row_.kind[number] = kind;
    row_.value[number] = static_cast<int32_t>(value);
  }

  void SetCfa(uint64_t number, int64_t offset) {
    if (number >= kRegisters || offset != static_cast<int32_t>(offset)) {
      failed_ = true;
      return;
    }
    row_.cfa_is_expression = false;
    row_.cfa_register = static_cast<uint8_t>(number);
    row_.cfa_value = static_cast<int32_t>(offset);
  }

  void Restore(uint64_t number) {
    if (number >= kRegisters) return;
    row_.kind[number] = initial_.kind[number];
    row_.value[number] = initial_.value[number];
  }

  int64_t Factored(uint64_t value) const {
    return static_cast<int64_t>(value * static_cast<uint64_t>(description_.data_alignment));
  }

  // The place of an expression, which is stepped over.
  int64_t Block(Cursor* cursor) {
    const auto place = static_cast<int64_t>(cursor->at() - section_.low);
    cursor->Skip(cursor->Unsigned());
    return place;
  }

  // False when the row sought is complete.
  bool Advance(uint64_t delta) {
    const uintptr_t next = location_ + delta * description_.code_alignment;
    if (next > ip_) return false;
    location_ = next;
    return true;
  }

  CfiResult Execute(uintptr_t begin, uintptr_t end, bool common) {
    Cursor cursor(begin, section_.low, end);
    while (cursor.left() != 0) {
      const uint8_t op = cursor.Take<uint8_t>();
      const uint8_t low = op & 0x3f;
      switch (op >> 6) {
        case 1:  // advance_loc
          if (!common && !Advance(low)) return Finish(cursor);
          continue;
        case 2:  // offset
          Set(low, RuleKind::kAt, Factored(cursor.Unsigned()));
          continue;
        case 3:  // restore
          Restore(low);
          continue;
        default:
          break;
      }
      switch (op) {
        case 0x00:  // nop
          break;
        case 0x01: {  // set_loc
          const uintptr_t next = cursor.Pointer(description_.pointer_encoding, section_.header);
          if (next > ip_) return Finish(cursor);
          location_ = next;
          break;
        }
        case 0x02:  // advance_loc1
          if (!Advance(cursor.Take<uint8_t>())) return Finish(cursor);
          break;
        case 0x03:  // advance_loc2
          if (!Advance(cursor.Take<uint16_t>())) return Finish(cursor);
          break;
        case 0x04:  // advance_loc4
          if (!Advance(cursor.Take<uint32_t>())) return Finish(cursor);
          break;
        case 0x05: {  // offset_extended
          const uint64_t number = cursor.Unsigned();
          Set(number, RuleKind::kAt, Factored(cursor.Unsigned()));
          break;
        }
        case 0x06:  // restore_extended
          Restore(cursor.Unsigned());
          break;
        case 0x07:  // undefined
          Set(cursor.Unsigned(), RuleKind::kUndefined, 0);
          break;
        case 0x08:  // same_value
          Set(cursor.Unsigned(), RuleKind::kSame, 0);
          break;
        case 0x09: {  // register
          const uint64_t number = cursor.Unsigned();
          const uint64_t other = cursor.Unsigned();
          if (other >= kRegisters) return CfiResult::kBeyondUs;
          Set(number, RuleKind::kRegister, static_cast<int64_t>(other));
          break;
        }
        case 0x0a:  // remember_state
          if (remembered_count_ == kRemembered) return CfiResult::kBeyondUs;
          remembered_[remembered_count_++] = row_;
          break;
        case 0x0b:  // restore_state
          if (remembered_count_ == 0) return CfiResult::kCorrupt;
          row_ = remembered_[--remembered_count_];
          break;
        case 0x0c: {  // def_cfa
          const uint64_t number = cursor.Unsigned();
          SetCfa(number, static_cast<int64_t>(cursor.Unsigned()));
          break;
        }
        case 0x0d:  // def_cfa_register
          if (row_.cfa_is_expression) return CfiResult::kCorrupt;
          SetCfa(cursor.Unsigned(), row_.cfa_value);
          break;
        case 0x0e:  // def_cfa_offset
          if (row_.cfa_is_expression) return CfiResult::kCorrupt;
          SetCfa(row_.cfa_register, static_cast<int64_t>(cursor.Unsigned()));
          break;
        case 0x0f: {  // def_cfa_expression
          const int64_t place = Block(&cursor);
          SetCfa(0, place);
          row_.cfa_is_expression = true;
          break;
        }
        case 0x10: {  // expression
          const uint64_t number = cursor.Unsigned();
          Set(number, RuleKind::kAtExpression, Block(&cursor));
          break;
        }
        case 0x11: {  // offset_extended_sf
          const uint64_t number = cursor.Unsigned();
          Set(number, RuleKind::kAt, Factored(static_cast<uint64_t>(cursor.Signed())));
          break;
        }
        case 0x12: {  // def_cfa_sf
          const uint64_t number = cursor.Unsigned();
          SetCfa(number, Factored(static_cast<uint64_t>(cursor.Signed())));
          break;
        }
        case 0x13:  // def_cfa_offset_sf
          if (row_.cfa_is_expression) return CfiResult::kCorrupt;
          SetCfa(row_.cfa_register, Factored(static_cast<uint64_t>(cursor.Signed())));
          break;
        case 0x14: {  // val_offset
          const uint64_t number = cursor.Unsigned();
          Set(number, RuleKind::kIs, Factored(cursor.Unsigned()));
          break;
        }
        case 0x15: {  // val_offset_sf
          const uint64_t number = cursor.Unsigned();
          Set(number, RuleKind::kIs, Factored(static_cast<uint64_t>(cursor.Signed())));
          break;
        }
        case 0x16: {  // val_expression
          const uint64_t number = cursor.Unsigned();
          Set(number, RuleKind::kIsExpression, Block(&cursor));
          break;
        }
        case 0x2e:  // GNU_args_size: for exception handlers alone
          cursor.Unsigned();
          break;
        default:
          return CfiResult::kBeyondUs;
      }
      if (failed_) return CfiResult::kBeyondUs;
    }
    return Finish(cursor);
  }

  CfiResult Finish(const Cursor& cursor) const {
    if (failed_) return CfiResult::kBeyondUs;
    return cursor.ok() ? CfiResult::kDone : CfiResult::kCorrupt;
  }

  const CfiSection& section_;
  const FrameDescription& description_;
  const uintptr_t ip_;
  Row& row_;
  uintptr_t location_ = 0;
  size_t remembered_count_ = 0;
  bool failed_ = false;  // a number that a Row has no room for
  Row initial_;
  Row remembered_[kRemembered];
};

}  // namespace

bool FindFrameDescription(const CfiSection& section, uintptr_t ip, FrameDescription* description) {
  Cursor cursor = From(section, section.header);
  if (cursor.Take<uint8_t>() != 1) return false;  // the header's version
  const uint8_t start_encoding = cursor.Take<uint8_t>();
  const uint8_t count_encoding = cursor.Take<uint8_t>();
  const uint8_t table_encoding = cursor.Take<uint8_t>();
  uintptr_t next = cursor.Pointer(start_encoding, section.header);
  if (count_encoding == kOmitted || table_encoding != kHeaderTable) {
    // Without a table of a kind that can be searched: entry by entry.
    while (cursor.ok() && next != 0) {
      const uintptr_t at = next;
      if (ReadDescription(section, at, ip, description, &next)) return true;
    }
    return false;
  }
  const uint64_t count = cursor.Form(count_encoding);
  constexpr size_t kPair = 8;
  if (!cursor.ok() || count == 0 || count > cursor.left() / kPair) return false;
  const uintptr_t table = cursor.at();
  const auto address = [&](uint64_t i, size_t word) {
    const auto distance = static_cast<int32_t>(LoadWord(table + i * kPair + word * 4));
    return section.header + static_cast<uintptr_t>(intptr_t{distance});
  };
  if (ip < address(0, 0)) return false;
  uint64_t low = 0, high = count;  // the entry sought is in [low, high)
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    if (address(middle, 0) <= ip) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return ReadDescription(section, address(low, 1), ip, description, &next);
}

CfiResult FindRow(const CfiSection& section, const FrameDescription& description, uintptr_t ip,
                  Row* row) {
  return Program(section, description, ip, row).Run();
}

CfiResult StepByRow(const CfiSection& section, const Row& row, StackReader* stack,
                    RegisterSet* registers, uintptr_t* cfa) {
  if (row.cfa_is_expression) {
    const CfiResult result = Evaluate(section, row.cfa_value, false, 0, *registers, stack, cfa);
    if (result != CfiResult::kDone) return result;
  } else {
    if (!registers->Knows(row.cfa_register)) return CfiResult::kUnknownRegister;
    *cfa = registers->value[row.cfa_register] + static_cast<uintptr_t>(intptr_t{row.cfa_value});
  }
  if (row.kind[kReturnAddress] == RuleKind::kUndefined) return CfiResult::kOutermost;

  RegisterSet caller{};
  for (uint32_t number = 0; number < kRegisters; ++number) {
    uintptr_t value = 0;
    const auto offset = static_cast<uintptr_t>(intptr_t{row.value[number]});
    switch (row.kind[number]) {
      case RuleKind::kSame:
        // By convention the caller's stack pointer is the CFA where no rule says otherwise.
        if (number == kRsp) {
          caller.Set(number, *cfa);
        } else if (registers->Knows(number)) {
          caller.Set(number, registers->value[number]);
        }
        continue;
      case RuleKind::kUndefined:
        continue;
      case RuleKind::kAt:
        if (!stack->Read(*cfa + offset, &value)) return CfiResult::kCorrupt;
        break;
      case RuleKind::kIs:
        value = *cfa + offset;
        break;
      case RuleKind::kRegister:
        if (!registers->Knows(static_cast<uint32_t>(row.value[number]))) continue;
        value = registers->value[row.value[number]];
        break;
      case RuleKind::kAtExpression:
      case RuleKind::kIsExpression: {
        const CfiResult result =
            Evaluate(section, row.value[number], true, *cfa, *registers, stack, &value);
        if (result != CfiResult::kDone) return result;
        if (row.kind[number] == RuleKind::kAtExpression && !stack->ReadElsewhere(value, &value)) {
          return CfiResult::kCorrupt;
        }
        break;
      }
    }
    caller.Set(number, value);
  }
  if (!caller.Knows(kReturnAddress)) return CfiResult::kUnknownRegister;
  if (!caller.Knows(kRsp)) return CfiResult::kUnknownRegister;
  *registers = caller;
  return CfiResult::kDone;
}

CompactRow CompactRow::From(const CfiSection& section, const Row& row) {
  const auto fits = [](int64_t offset) { return offset == (offset << 40 >> 40); };
  constexpr CompactRow kNoForm;
  uint64_t word = 0;
  int64_t offset = row.cfa_value;
  if (row.cfa_is_expression) {
    // Code that realigns its stack keeps the CFA beside its frame pointer, and its caller's frame
    // pointer where its own points.
    bool fetched;
    if (!IsSumWithRbp(section, row.cfa_value, &offset, &fetched) || !fetched) return kNoForm;
    word = kAtRbp;
  } else if (row.cfa_register == kRsp) {
    word = kFromRsp;
  } else if (row.cfa_register == kRbp) {
    word = kFromRbp;
  } else {
    return kNoForm;
  }
  if (!fits(offset)) return kNoForm;
  word |= (static_cast<uint64_t>(offset) & 0xffffff) << 8;
  const RuleKind back = row.kind[kReturnAddress];
  if (back == RuleKind::kUndefined) return CompactRow(word | 4);
  if (back != RuleKind::kAt || row.value[kReturnAddress] != -8) return kNoForm;
  if (row.kind[kRsp] != RuleKind::kSame) return kNoForm;
  if (CompactRow(word).base() == kAtRbp) {
    int64_t saved;
    bool fetched;
    if (row.kind[kRbp] != RuleKind::kAtExpression ||
        !IsSumWithRbp(section, row.value[kRbp], &saved, &fetched) || fetched || !fits(saved)) {
      return kNoForm;
    }
    word |= 8 | static_cast<uint64_t>(saved) << 40;
  } else if (row.kind[kRbp] == RuleKind::kAt && fits(row.value[kRbp])) {
    word |= 8 | static_cast<uint64_t>(static_cast<int64_t>(row.value[kRbp])) << 40;
  } else if (row.kind[kRbp] != RuleKind::kSame) {
    return kNoForm;
  }
  return CompactRow(word);
}

}  // namespace heapecho::stack

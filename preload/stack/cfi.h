// SPDX-License-Identifier: Apache-2.0
// Call frame information as .eh_frame holds it: finds the description of an address, runs its
// program to the row that holds there, and applies the row to registers. Trusts nothing: every read
// is bounded.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/stack/modules.h"
#include "preload/stack/stack_reader.h"

namespace heapecho::stack {

// DWARF's numbers of the x86-64 registers; the last column of a row is the return address.
enum : uint32_t {
  kRax = 0,
  kRdx,
  kRcx,
  kRbx,
  kRsi,
  kRdi,
  kRbp,
  kRsp,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
  kReturnAddress,
  kRegisters
};

// A frame description entry (FDE) with what its common part (CIE) says.
struct FrameDescription {
  uintptr_t begin, end;  // run-time range of the code it describes
  uint64_t code_alignment;
  int64_t data_alignment;
  uintptr_t common_program, common_program_end;
  uintptr_t program, program_end;
  uint8_t pointer_encoding;
  bool signal_frame;  // augmentation 'S': the caller was interrupted, its address is exact
};

// Finds the description whose range holds `ip`. False where there is none or it is not understood.
// Thread-safe, signal-safe, no allocation.
bool FindFrameDescription(const CfiSection& section, uintptr_t ip, FrameDescription* description);

enum class RuleKind : uint8_t {
  kSame,          // the caller's value is this frame's
  kUndefined,     // lost; for the return address: this is the outermost frame
  kAt,            // saved at CFA + value
  kIs,            // is CFA + value
  kRegister,      // is what register `value` holds
  kAtExpression,  // saved at the address that the expression gives
  kIsExpression,  // is what the expression gives
};

// A row of the table that a program describes. An expression is kept as the distance of its length
// field from the section's low end.
struct Row {
  RuleKind kind[kRegisters];
  bool cfa_is_expression;
  uint8_t cfa_register;
  int32_t cfa_value;  // offset, or the expression
  int32_t value[kRegisters];
};

enum class CfiResult : uint8_t {
  kDone,
  kOutermost,       // the return address is undefined: a clean end
  kBeyondUs,        // well-formed as far as seen, but uses what is left to libunwind
  kCorrupt,         // not well-formed, or memory that it names cannot be read
  kUnknownRegister  // needs a register that the walk has not followed
};

// Runs the program up to the row of `ip`. Left to libunwind: rows remembered one above the other.
CfiResult FindRow(const CfiSection& section, const FrameDescription& description, uintptr_t ip,
                  Row* row);

// The registers of one frame; a bit of `known` for each whose value is known.
struct RegisterSet {
  uintptr_t value[kRegisters];
  uint32_t known;

  bool Knows(uint32_t r) const { return (known >> r & 1) != 0; }
  void Set(uint32_t r, uintptr_t v) {
    value[r] = v;
    known |= uint32_t{1} << r;
  }
};

// From a frame's registers to its caller's; `cfa` receives the frame's CFA (set for kOutermost as
// well). Left to libunwind: expressions other than sums and differences of registers and constants,
// what they point at, and the comparison that procedure linkage tables use.
CfiResult StepByRow(const CfiSection& section, const Row& row, StackReader* stack,
                    RegisterSet* registers, uintptr_t* cfa);

// The common rows in one word, for the cache. Zero: this row has no compact form.
//   CFA = rsp + offset | rbp + offset; the caller's rbp the same or at CFA + offset;
//   or, where code realigned its stack: CFA at rbp + offset; the caller's rbp at rbp + offset.
//   The return address at CFA - 8, or none.
class CompactRow {
 public:
  enum Base : uint8_t { kNone = 0, kFromRsp = 1, kFromRbp = 2, kAtRbp = 3 };

  constexpr CompactRow() = default;
  explicit constexpr CompactRow(uint64_t word) : word_(word) {}
  static CompactRow From(const CfiSection& section, const Row& row);

  uint64_t word() const { return word_; }
  Base base() const { return static_cast<Base>(word_ & 3); }
  bool outermost() const { return (word_ & 4) != 0; }
  bool saves_rbp() const { return (word_ & 8) != 0; }
  intptr_t cfa_offset() const { return static_cast<int64_t>(word_ << 32) >> 40; }
  intptr_t rbp_offset() const { return static_cast<int64_t>(word_) >> 40; }

 private:
  uint64_t word_ = 0;
};

}  // namespace heapecho::stack

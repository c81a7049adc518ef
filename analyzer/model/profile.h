// SPDX-License-Identifier: Apache-2.0
// A profile: symbolized stacks with their estimates, merged over the recordings that were asked
// for. Made by the aggregator, drawn by the outputs. Plain data, deterministic order (see each
// field).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/model/recording.h"

namespace heapecho::model {

enum class Value : uint8_t {
  kLive,
  kAllocated,
  kPeak,
  kGrown,  // since a moment: a comparison of what went since (before) with what came and stayed
  kLast,   // the same since the last rise began
};
// What came and went of a stack since a moment of each process's life (Report says which).
struct Growth {
  Estimate came{}, went{};
  double byte_seconds = 0;  // of what came: bytes times their age
  double per_second = 0;    // bytes; of several processes the sum of theirs
  Growth& operator+=(const Growth& other);
};
enum class Unit : uint8_t { kBytes, kObjects };

struct Frame {
  enum class Kind : uint8_t {
    kPython,
    kNative,
    kBehalf,
    kSynthetic
  };  // kSynthetic: "[unknown]" and the like
  Kind kind = Kind::kNative;
  std::string
      function;  // demangled, without template-argument noise removed; or "0x1234" without a symbol
  std::string file;      // source file; empty when not known
  uint32_t line = 0;     // 0: not known
  std::string module;    // file name of the ELF, e.g. "libc.so.6"; empty for none
  bool inlined = false;  // inlined into the next outer frame
  // Of Python code, of this thread's own or of the one on whose behalf it worked (kBehalf).
  bool IsOfPython() const { return kind == Kind::kPython || kind == Kind::kBehalf; }
  friend auto operator<=>(const Frame&, const Frame&) = default;
};

struct FrameId {  // index into Profile::frames
  uint32_t value = 0;
  friend auto operator<=>(FrameId, FrameId) = default;
};

struct Sample {
  std::vector<FrameId> frames;  // root first, allocating function last
  Domain domain = Domain::kMalloc;
  Estimate estimate;       // of Profile::value
  uint64_t oldest_ns = 0;  // kLive: age of the oldest block at the recording's last event
  uint32_t samples = 0;    // how many sampled blocks it rests on
  Estimate before{};       // in a comparison: what it was before; `estimate` is what it is after
  Growth growth{};         // kLive, kGrown, kLast
};

struct Profile {
  Value value = Value::kLive;
  std::vector<Frame> frames;    // sorted, unique
  std::vector<Sample> samples;  // sorted by frames, unique per (frames, domain), not all zero
  Estimate total;
  std::array<Estimate, 4> domains;  // indexed by Domain
  bool compared = false;            // this is a comparison: what was before is there too
  Estimate total_before;
  std::array<Estimate, 4> domains_before;
  std::vector<std::string> warnings;
};

}  // namespace heapecho::model

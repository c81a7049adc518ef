// SPDX-License-Identifier: Apache-2.0
// The colour of a frame; the contract is in the header.
#include "analyzer/output/frame_color.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace heapecho::output {
namespace {

// FNV-1a: the colour of a name must not change between runs, builds or machines.
uint64_t StableHash(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash ^ hash >> 32;
}

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

bool IsBackground(absl::string_view module) {
  return absl::StartsWith(module, "python") || absl::StartsWith(module, "libpython") ||
         absl::StartsWith(module, "libc.so") || absl::StartsWith(module, "libc-") ||
         absl::StartsWith(module, "ld-linux") || absl::StartsWith(module, "libpthread");
}

}  // namespace

FrameColor ColorOf(const model::Frame& frame) {
  // Hues far enough apart to be told from each other side by side.
  constexpr std::array<uint16_t, 8> kWarm = {2, 18, 32, 46, 278, 306, 326, 344};
  constexpr std::array<uint16_t, 7> kCool = {112, 136, 160, 178, 196, 212, 228};
  // What is alike lies close together: functions of one library differ by shades of its hue.
  const uint64_t function = StableHash(frame.function);
  const auto lightness = static_cast<int8_t>(function % 9) - 4;
  const auto turn = static_cast<int>(function / 9 % 9) - 4;
  const auto shade = [&](int hue, int saturation) {
    return FrameColor{static_cast<uint16_t>((hue + turn + 360) % 360),
                      static_cast<uint8_t>(saturation + turn), static_cast<int8_t>(lightness)};
  };
  switch (frame.kind) {
    case model::Frame::Kind::kPython:
    case model::Frame::Kind::kBehalf:
      return shade(kCool[StableHash(BaseName(frame.file)) % kCool.size()], 58);
    case model::Frame::Kind::kNative:
      if (frame.module.empty()) return shade(30, 8);
      if (IsBackground(frame.module)) return shade(34 + 3 * turn, 30);
      return shade(kWarm[StableHash(frame.module) % kWarm.size()], 72);
    case model::Frame::Kind::kSynthetic:
      return {};
  }
  return {};
}

FrameColor ColorOfChange(double share, double sigmas) {
  const double strength = std::abs(sigmas) < 2 ? 0 : std::min(1.0, std::abs(share));
  if (strength == 0) return {40, 8, 8};
  const double depth = 0.25 + 0.75 * strength;
  return {static_cast<uint16_t>(share > 0 ? 6 : 214), static_cast<uint8_t>(std::lround(80 * depth)),
          static_cast<int8_t>(std::lround(10 - 18 * depth))};
}

}  // namespace heapecho::output

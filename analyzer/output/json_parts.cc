// SPDX-License-Identifier: Apache-2.0
// What the outputs in JSON have in common; the contract is in the header.
#include "analyzer/output/json_parts.h"

#include <algorithm>
#include <cmath>

namespace heapecho::output {
namespace {

constexpr double kMost = 9007199254740992;  // 2^53

const char* KindName(model::Frame::Kind kind) {
  switch (kind) {
    case model::Frame::Kind::kPython:
      return "python";
    case model::Frame::Kind::kNative:
      return "native";
    case model::Frame::Kind::kBehalf:
      return "behalf";
    case model::Frame::Kind::kSynthetic:
      break;
  }
  return "synthetic";
}

}  // namespace

std::string Text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string FrameJson(const model::Frame& frame) {
  Json json{{"kind", KindName(frame.kind)}, {"function", frame.function}};
  if (!frame.file.empty()) json["file"] = frame.file;
  if (frame.line != 0) json["line"] = frame.line;
  if (!frame.module.empty()) json["module"] = frame.module;
  return Text(json);
}

uint64_t Whole(double amount) {
  return static_cast<uint64_t>(std::llround(std::clamp(amount, 0.0, kMost)));
}

int64_t WholeSigned(double amount) { return std::llround(std::clamp(amount, -kMost, kMost)); }

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// What the outputs in JSON have in common. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "analyzer/model/profile.h"

namespace heapecho::output {

using Json = nlohmann::ordered_json;

inline constexpr int kJsonSchema = 1;

// On one line. Text that is no UTF-8 has U+FFFD where it is not.
std::string Text(const Json& json);

// A frame's own JSON, as text: many sites have it.
std::string FrameJson(const model::Frame& frame);

// Rounded; never more than every reader of JSON can hold, 2^53.
uint64_t Whole(double amount);  // 0 where it is negative
int64_t WholeSigned(double amount);

// An array of `count` values, one a line, each appended by `append(i)`.
template <typename Append>
void AppendLines(size_t count, Append append, std::string* out) {
  *out += '[';
  for (size_t i = 0; i < count; ++i) {
    absl::StrAppend(out, i == 0 ? "\n  " : ",\n  ");
    append(i);
  }
  absl::StrAppend(out, count == 0 ? "]" : "\n ]");
}

}  // namespace heapecho::output

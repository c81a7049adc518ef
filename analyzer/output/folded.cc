// SPDX-License-Identifier: Apache-2.0
// A profile as folded lines; the contract is in the header.
#include "analyzer/output/folded.h"

#include <cmath>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "analyzer/output/markup.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string FoldedFrame(const model::Frame& frame, bool lines) {
  std::string text = frame.function;
  switch (frame.kind) {
    case model::Frame::Kind::kPython:
    case model::Frame::Kind::kBehalf:
      if (frame.file.empty()) break;
      absl::StrAppend(&text, " (", BaseName(frame.file));
      if (lines && frame.line != 0) absl::StrAppend(&text, ":", frame.line);
      text += ')';
      break;
    case model::Frame::Kind::kNative:
      if (!frame.module.empty()) absl::StrAppend(&text, " (", frame.module, ")");
      break;
    case model::Frame::Kind::kSynthetic:
      break;
  }
  text = CleanText(text);
  for (char& c : text) {
    if (c == ';') c = ':';
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

std::string Folded(const model::Profile& profile, const FoldedOptions& options) {
  std::vector<std::string> frames;
  frames.reserve(profile.frames.size());
  for (const model::Frame& frame : profile.frames) {
    frames.push_back(FoldedFrame(frame, options.lines));
  }
  // Stacks that differ only in what the text leaves out are one: their weights are added, then
  // rounded.
  std::map<std::string, double> amounts;
  for (const model::Sample& sample : profile.samples) {
    const std::string stack = absl::StrJoin(
        sample.frames, ";",
        [&](std::string* out, model::FrameId id) { absl::StrAppend(out, frames[id.value]); });
    amounts[stack.empty() ? "[unknown]" : stack] +=
        AmountOf(sample.estimate, options.unit) - AmountOf(sample.before, options.unit);
  }
  std::string out;
  for (const auto& [stack, amount] : amounts) {
    const double whole = std::round(amount);
    if (whole >= 1) absl::StrAppendFormat(&out, "%s %.0f\n", stack, whole);
  }
  return out;
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// The words that reports for people have in common; the contract is in the header.
#include "analyzer/output/site_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

// The last two parts of a path: many files of an application have one name.
std::string ShortPath(const std::string& path) {
  const size_t name = path.rfind('/');
  if (name == std::string::npos || name == 0) return path;
  return path.substr(path.rfind('/', name - 1) + 1);
}

bool IsOnBehalf(const model::Frame& frame) { return frame.kind == model::Frame::Kind::kBehalf; }

bool IsSameFunction(const model::Frame& a, const model::Frame& b) {
  const bool python = a.IsOfPython();
  return a.kind == b.kind && a.function == b.function && a.module == b.module &&
         (!python || a.file == b.file);
}

}  // namespace

std::string Plural(size_t count, const char* noun) {
  return absl::StrCat(HumanCount(static_cast<double>(count)), " ", noun, count == 1 ? "" : "s");
}

std::string Duration(absl::Duration duration) {
  const int64_t seconds = std::max<int64_t>(absl::ToInt64Seconds(duration), 0);
  if (seconds < 60) return absl::StrCat(seconds, " s");
  if (seconds < 3600) return absl::StrCat(seconds / 60, " min ", seconds % 60, " s");
  if (seconds < 86400) return absl::StrCat(seconds / 3600, " h ", seconds / 60 % 60, " min");
  return absl::StrCat(seconds / 86400, " d ", seconds / 3600 % 24, " h");
}

std::string DateAndTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::UTCTimeZone());
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string FrameText(const model::Frame& frame) {
  const bool python = frame.IsOfPython();
  std::string text = frame.function;
  if (!frame.module.empty()) absl::StrAppend(&text, " (", frame.module, ")");
  if (!frame.file.empty())
    absl::StrAppend(&text, " ", python ? ShortPath(frame.file) : BaseName(frame.file));
  if (!frame.file.empty() && frame.line != 0) absl::StrAppend(&text, ":", frame.line);
  return Printable(text);
}

std::string StackText(const model::Profile& profile, const model::SiteGroup& group, size_t most) {
  const std::vector<model::FrameId>& frames = profile.samples[group.sites.front().value].frames;
  std::string text;
  size_t shown = 0;
  for (auto frame = std::find(frames.rbegin(), frames.rend(), group.frame); frame != frames.rend();
       ++shown) {
    if (shown == most) {
      absl::StrAppend(&text, "       ... ",
                      Plural(static_cast<size_t>(frames.rend() - frame), "more caller"), "\n");
      break;
    }
    const auto next = std::find_if(frame, frames.rend(), [&](model::FrameId id) {
      return !IsSameFunction(profile.frames[id.value], profile.frames[frame->value]);
    });
    const bool outside = frame != frames.rbegin() && !IsOnBehalf(profile.frames[frame[-1].value]);
    absl::StrAppend(&text, shown == 0 ? "     " : "       <- ",
                    outside && IsOnBehalf(profile.frames[frame->value]) ? "on behalf of " : "",
                    FrameText(profile.frames[frame->value]));
    if (next - frame > 1) absl::StrAppend(&text, ", ", next - frame, " times");
    absl::StrAppend(&text, "\n");
    frame = next;
  }
  return text;
}

}  // namespace heapecho::output

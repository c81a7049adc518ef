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
  const std::vector<model::FrameId>& ids = profile.samples[group.sites.front().value].frames;
  std::vector<const model::Frame*> frames;  // innermost first, from the group's on
  for (auto id = std::find(ids.rbegin(), ids.rend(), group.frame); id != ids.rend(); ++id)
    frames.push_back(&profile.frames[id->value]);
  const auto handed_over = static_cast<size_t>(
      std::find_if(frames.begin(), frames.end(),
                   [](const model::Frame* frame) { return IsOnBehalf(*frame); }) -
      frames.begin());
  std::string text;
  const auto show = [&](size_t i) {
    size_t next = i + 1;
    while (next < frames.size() && IsSameFunction(*frames[i], *frames[next])) ++next;
    absl::StrAppend(&text, i == 0 ? "     " : "       <- ",
                    i == handed_over && i != 0 ? "on behalf of " : "", FrameText(*frames[i]));
    if (next - i > 1) absl::StrAppend(&text, ", ", next - i, " times");
    text += '\n';
    return next;
  };
  const auto leave_out = [&](size_t from, size_t to) {
    if (from < to) absl::StrAppend(&text, "       ... ", Plural(to - from, "more caller"), "\n");
  };
  size_t i = 0;
  for (size_t shown = 0; i < frames.size() && shown < most; ++shown) i = show(i);
  // Who handed the work over is never left out.
  if (i <= handed_over && handed_over < frames.size()) {
    leave_out(i, handed_over);
    i = show(handed_over);
  }
  leave_out(i, frames.size());
  return text;
}

std::string WarningsText(const model::Profile& profile) {
  if (profile.warnings.empty()) return "Warnings: none\n";
  std::string text = "Warnings\n";
  for (const std::string& warning : profile.warnings)
    absl::StrAppend(&text, "  ", Printable(warning), "\n");
  return text;
}

}  // namespace heapecho::output

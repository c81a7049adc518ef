// SPDX-License-Identifier: Apache-2.0
// The interactive flame graph: fills the page's template and writes the profile's tree as JSON.
#include "analyzer/output/flamegraph.h"

#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "analyzer/output/flamegraph_page.h"
#include "analyzer/output/frame_color.h"
#include "analyzer/output/frame_tree.h"
#include "analyzer/output/markup.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

constexpr absl::string_view kLegend =
    "<li><i class=\"native\"></i> native code, a colour for each library</li>\n"
    "<li><i class=\"python\"></i> Python, a colour for each file</li>\n"
    "<li><i class=\"muted\"></i> interpreter and libc</li>";
constexpr absl::string_view kComparisonLegend =
    "<li><i class=\"grown\"></i> grew: the fuller, the more of the box</li>\n"
    "<li><i class=\"shrunk\"></i> shrank</li>\n"
    "<li><i class=\"same\"></i> no change beyond two standard errors</li>\n"
    "<li>a box is as wide as the larger of before and after</li>";

class StringTable {
 public:
  uint32_t Add(absl::string_view text) {
    const auto [found, is_new] =
        index_.try_emplace(std::string(text), static_cast<uint32_t>(literals_.size()));
    if (is_new) literals_.push_back(JsonString(text));
    return found->second;
  }
  std::string ToJson() const { return absl::StrCat("[", absl::StrJoin(literals_, ",\n"), "]"); }

 private:
  std::map<std::string, uint32_t, std::less<>> index_;
  std::vector<std::string> literals_;
};

// The page's letter for a kind: inlined functions are native ones that no call instruction reached.
char KindLetter(const model::Frame& frame) {
  switch (frame.kind) {
    case model::Frame::Kind::kPython:
      return 'p';
    case model::Frame::Kind::kBehalf:
      return 'b';
    case model::Frame::Kind::kNative:
      return frame.inlined ? 'i' : 'n';
    case model::Frame::Kind::kSynthetic:
      return 's';
  }
  return 's';
}

// What the page adds up itself is written as whole bytes and objects; errors too.
void AppendWhole(std::string* out, double amount) { absl::StrAppendFormat(out, ",%.0f", amount); }

void AppendFigures(std::string* out, const model::Estimate& estimate) {
  AppendWhole(out, estimate.bytes);
  AppendWhole(out, std::sqrt(estimate.bytes_variance));
  AppendWhole(out, estimate.objects);
  AppendWhole(out, std::sqrt(estimate.objects_variance));
}

bool IsNothing(const model::Estimate& estimate) {
  return estimate.bytes == 0 && estimate.objects == 0;
}

// {strings, frames: [[kind, name, module, source, hue, saturation, lightness]],
//  frame, depth: of each node in preorder,
//  self: node (as the step from the one before), bytes, their error, objects, their error; of the
//  nodes
//        that stacks end in
//  sides: of a comparison, the names of both
//  before: likewise, for each of those nodes: bytes, their error, objects, their error}
std::string ProfileJson(const FrameTree& tree, model::Unit unit, const model::Profile& profile) {
  StringTable strings;
  std::string frames;
  for (const TreeFrame& frame : tree.frames) {
    const FrameColor color = ColorOf(frame.frame);
    const uint32_t name = strings.Add(frame.frame.function);
    const uint32_t module = strings.Add(frame.frame.module);
    const uint32_t source = strings.Add(SourceOf(frame));
    absl::StrAppendFormat(&frames, "%s[\"%c\",%u,%u,%u,%d,%d,%d]", frames.empty() ? "" : ",\n",
                          KindLetter(frame.frame), name, module, source, color.hue,
                          color.saturation, color.lightness);
  }
  std::string frame_column, depth_column, self, before;
  const SideNames sides = SideNamesOf(profile.value);
  size_t last_with_self = 0;
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const TreeNode& node = tree.nodes[i];
    const char* comma = i == 0 ? "" : ",";
    absl::StrAppend(&frame_column, comma, node.frame);
    absl::StrAppend(&depth_column, comma, node.depth);
    if (IsNothing(node.self) && IsNothing(node.self_before)) continue;
    absl::StrAppend(&self, self.empty() ? "" : ",", i - last_with_self);
    AppendFigures(&self, node.self);
    AppendFigures(&before, node.self_before);
    last_with_self = i;
  }
  return absl::StrCat("{\"unit\":", JsonString(UnitName(unit)), ",\n\"strings\":", strings.ToJson(),
                      ",\n\"frames\":[", frames, "],\n\"frame\":[", frame_column, "],\n\"depth\":[",
                      depth_column, "],\n\"self\":[", self, "]",
                      profile.compared
                          ? absl::StrCat(",\n\"sides\":[\"", sides.before, "\",\"", sides.after,
                                         "\"],\n\"before\":[", absl::StripPrefix(before, ","), "]")
                          : "",
                      "}");
}

std::string List(absl::string_view kind, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string out = absl::StrCat("<ul class=\"", kind, "\">\n");
  for (const std::string& line : lines)
    absl::StrAppend(&out, "<li>", EscapeMarkup(line), "</li>\n");
  return out + "</ul>";
}

// For a content security policy, which names a hash in base64.
std::string PolicyHash(const PagePart& part) {
  return absl::Base64Escape(absl::HexStringToBytes(part.sha256));
}

}  // namespace

std::string FlamegraphHeadline(const model::Profile& profile, model::Unit unit) {
  const absl::string_view value = ValueName(profile.value);
  if (!profile.compared) return absl::StrCat(HumanEstimate(profile.total, unit), " ", value);
  const double step = AmountOf(profile.total, unit) - AmountOf(profile.total_before, unit);
  const double error =
      std::sqrt(VarianceOf(profile.total, unit) + VarianceOf(profile.total_before, unit));
  return absl::StrCat(value, ": ", HumanChange(step, error, unit));
}

std::string FlamegraphHtml(const model::Profile& profile, const FlamegraphOptions& options) {
  const FrameTree tree = BuildFrameTree(profile, options.unit, options.lines);
  const std::string headline = FlamegraphHeadline(profile, options.unit);
  return absl::StrReplaceAll(kPageTemplate.text,
                             {{"{{LEGEND}}", profile.compared ? kComparisonLegend : kLegend},
                              {"{{STYLE_HASH}}", PolicyHash(kPageStyle)},
                              {"{{SCRIPT_HASH}}", PolicyHash(kPageScript)},
                              {"{{STYLE}}", kPageStyle.text},
                              {"{{SCRIPT}}", kPageScript.text},
                              {"{{TITLE}}", EscapeMarkup(absl::StrCat("heapecho: ", headline))},
                              {"{{HEADLINE}}", EscapeMarkup(headline)},
                              {"{{SCOPE}}", EscapeMarkup(options.scope)},
                              {"{{ABOUT}}", absl::StrCat(List("processes", options.processes),
                                                         List("warnings", profile.warnings))},
                              {"{{PROFILE}}", ProfileJson(tree, options.unit, profile)}});
}

}  // namespace heapecho::output

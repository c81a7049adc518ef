// SPDX-License-Identifier: Apache-2.0
// The flame graph as an SVG: roots on top, like the page, and no script.
#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "analyzer/output/flamegraph.h"
#include "analyzer/output/frame_color.h"
#include "analyzer/output/frame_tree.h"
#include "analyzer/output/markup.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

constexpr double kWidth = 1200;
constexpr double kMargin = 10;
constexpr double kTop = 52;
constexpr double kRow = 18;
constexpr double kNarrowest = 0.5;
constexpr double kLetter = 6.63;  // advance of a monospaced letter at the font size below

// One of a style sheet's colours per look: only what the two themes share is fixed in the boxes.
constexpr absl::string_view kStyle = R"(<style>
svg { background: #fbfaf8; }
text { font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #211d18; }
.page { fill: #1f1d1a; }
.title { font: 600 16px system-ui, "DejaVu Sans", sans-serif; }
.scope { font: 12px system-ui, "DejaVu Sans", sans-serif; opacity: .7; }
g:hover rect { stroke: #000; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
  svg { background: #171614; }
  .page { fill: #ece9e3; }
  g:hover rect { stroke: #fff; }
}
</style>
)";

// The first `room` characters of the name, cut at a character's border; empty where too few would
// be left.
std::string Label(absl::string_view name, double width) {
  const auto room = static_cast<size_t>(std::max(0.0, (width - 6) / kLetter));
  const std::string clean = CleanText(name);
  size_t characters = 0;
  size_t cut = clean.size();
  for (size_t i = 0; i < clean.size(); ++i) {
    if ((static_cast<unsigned char>(clean[i]) & 0xc0) == 0x80) continue;
    if (room > 0 && characters == room - 1) cut = i;
    ++characters;
  }
  if (characters <= room) return clean;
  return room < 3 ? "" : absl::StrCat(absl::string_view(clean).substr(0, cut), "…");
}

struct ChangeOfBox {
  double amount, error;
};
ChangeOfBox ChangeOf(const TreeNode& node, model::Unit unit) {
  return {AmountOf(node.total, unit) - AmountOf(node.total_before, unit),
          std::sqrt(VarianceOf(node.total, unit) + VarianceOf(node.total_before, unit))};
}

FrameColor ColorOfBox(const TreeNode& node, const TreeFrame* frame, bool compared,
                      model::Unit unit) {
  if (!compared) return frame == nullptr ? FrameColor{} : ColorOf(frame->frame);
  const ChangeOfBox change = ChangeOf(node, unit);
  // Without an error all of it was recorded.
  const double sigmas = change.error > 0 ? change.amount / change.error : change.amount * 1e9;
  return ColorOfChange(node.width > 0 ? change.amount / node.width : 0, sigmas);
}

std::string Figures(const TreeNode& node, double whole, const model::Profile& profile,
                    model::Unit unit) {
  if (profile.compared) {
    const SideNames sides = SideNamesOf(profile.value);
    const ChangeOfBox change = ChangeOf(node, unit);
    return absl::StrCat(HumanChange(change.amount, change.error, unit), "\n",
                        HumanEstimate(node.total_before, unit), " ", sides.before, "\n",
                        HumanEstimate(node.total, unit), " ", sides.after);
  }
  return absl::StrCat(
      HumanEstimate(node.total, unit), ", ", HumanShare(node.width, whole), " of all",
      unit == model::Unit::kBytes ? absl::StrCat(", ", HumanCount(node.total.objects), " objects")
                                  : "");
}

}  // namespace

std::string FlamegraphSvg(const model::Profile& profile, const FlamegraphOptions& options) {
  const FrameTree tree = BuildFrameTree(profile, options.unit, options.lines);
  const double whole = tree.nodes[0].width;
  const double scale = whole > 0 ? (kWidth - 2 * kMargin) / whole : 0;

  std::string boxes;
  uint32_t deepest = 0;
  std::vector<double> next_x(tree.nodes.size(), kMargin);  // where the next child begins
  for (uint32_t i = 0; i < tree.nodes.size();) {
    const TreeNode& node = tree.nodes[i];
    const double width = node.width * scale;
    const double x = next_x[i == 0 ? 0 : node.parent];
    if (i != 0) next_x[node.parent] += width;
    next_x[i] = x;
    if (width < kNarrowest) {  // and so are the siblings after it
      i = i == 0 ? node.end : tree.nodes[node.parent].end;
      continue;
    }
    deepest = std::max(deepest, node.depth);
    const TreeFrame* frame = i == 0 ? nullptr : &tree.frames[node.frame];
    const FrameColor color = ColorOfBox(node, frame, profile.compared, options.unit);
    const absl::string_view name =
        frame == nullptr ? "all" : absl::string_view(frame->frame.function);
    const double y = kTop + node.depth * kRow;
    std::string title(name);
    if (frame != nullptr) {
      if (!frame->frame.module.empty()) absl::StrAppend(&title, "\n", frame->frame.module);
      if (const std::string source = SourceOf(*frame); !source.empty()) {
        absl::StrAppend(&title, "\n", source);
      }
    }
    absl::StrAppend(&title, "\n", Figures(node, whole, profile, options.unit));
    absl::StrAppendFormat(&boxes,
                          "<g><title>%s</title><rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" "
                          "height=\"%.0f\" rx=\"1\" fill=\"hsl(%d, %d%%, %d%%)\"/>",
                          EscapeMarkup(title), x, y, std::max(width - 0.6, 0.3), kRow - 1,
                          color.hue, color.saturation, 76 + color.lightness);
    if (const std::string label = Label(name, width); !label.empty()) {
      absl::StrAppendFormat(&boxes, "<text x=\"%.2f\" y=\"%.1f\">%s</text>", x + 3, y + 12.5,
                            EscapeMarkup(label));
    }
    absl::StrAppend(&boxes, "</g>\n");
    ++i;
  }

  const double height = kTop + (deepest + 1) * kRow + kMargin;
  return absl::StrCat(
      absl::StrFormat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                      "width=\"%.0f\" height=\"%.0f\">\n",
                      kWidth, height, kWidth, height),
      kStyle,
      absl::StrFormat("<text class=\"page title\" x=\"%.0f\" y=\"22\">%s</text>\n"
                      "<text class=\"page scope\" x=\"%.0f\" y=\"41\">%s</text>\n",
                      kMargin, EscapeMarkup(FlamegraphHeadline(profile, options.unit)), kMargin,
                      EscapeMarkup(options.scope)),
      boxes, "</svg>\n");
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// Memory over time as one page: areas of what the sites held below the lines of RSS and limit, the
// same by domain, and a line for each process. Plain SVG, no script.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "analyzer/output/frame_color.h"
#include "analyzer/output/markup.h"
#include "analyzer/output/site_text.h"
#include "analyzer/output/timeline.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

constexpr size_t kColumns = 480;
constexpr double kWidth = 1120;
constexpr double kLeft = 84;  // the scale's words stand there
constexpr double kRight = 16;
constexpr double kHeight = 300;
constexpr double kSmall = 46;  // of a process's own line
constexpr size_t kProcessesShown = 60;

constexpr absl::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="color-scheme" content="light dark">
)";
constexpr absl::string_view kStyle = R"(<style>
:root { --page: #fbfaf8; --text: #1f1d1a; --quiet: #6b665d; --line: #d9d5cd; --rss: #1f1d1a; --limit: #c2271a; --group: #6d28d9; }
@media (prefers-color-scheme: dark) {
  :root { --page: #171614; --text: #ece9e3; --quiet: #a39d92; --line: #3a3732; --rss: #ffffff; --limit: #ff6b5e; --group: #b794ff; }
}
body { margin: 0 auto; max-width: 1160px; padding: 14px 18px 30px; background: var(--page); color: var(--text);
  font: 14px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 18px; }
h2 { margin: 22px 0 4px; font-size: 14px; }
p { margin: 2px 0; color: var(--quiet); }
svg { display: block; width: 100%; height: auto; }
text { fill: var(--quiet); font: 11px system-ui, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--line); stroke-width: 1; }
.rss { fill: none; stroke: var(--rss); stroke-width: 1.6; }
.group { fill: none; stroke: var(--group); stroke-width: 1.2; stroke-dasharray: 2 3; }
.limit { fill: none; stroke: var(--limit); stroke-width: 1.4; stroke-dasharray: 7 4; }
ul { display: flex; flex-wrap: wrap; gap: 3px 18px; margin: 4px 0 0; padding: 0; list-style: none; font-size: 13px; }
li i { display: inline-block; width: 22px; height: 11px; margin-right: 5px; border-radius: 2px; vertical-align: -1px; }
li.stroke i { height: 0; border-top: 2px solid; border-radius: 0; vertical-align: 4px; }
.warnings { display: block; margin-top: 18px; color: var(--quiet); }
</style>
)";

std::string Hsl(const FrameColor& color) {
  return absl::StrFormat("hsl(%d %d%% %d%%)", color.hue, color.saturation, 62 + color.lightness);
}

// Sites of one file lie beside each other: what tells them apart is their rank.
FrameColor SiteColor(size_t rank) {
  constexpr FrameColor kColors[] = {{8, 66, 4},   {212, 58, 4}, {44, 74, -2}, {160, 46, -4},
                                    {280, 42, 8}, {188, 50, 2}, {330, 52, 8}, {96, 40, 0},
                                    {24, 40, -8}, {236, 44, 10}};
  return kColors[rank % std::size(kColors)];
}

FrameColor DomainColor(size_t domain) {
  constexpr FrameColor kColors[] = {{32, 72, 4}, {212, 58, 0}, {160, 50, -6}, {306, 40, 2}};
  return kColors[domain % 4];
}

double X(size_t column) {
  return kLeft + (kWidth - kLeft - kRight) * static_cast<double>(column) /
                     static_cast<double>(kColumns - 1);
}

// 1, 2 or 5 times a power of two, so that some four lines fit.
double StepOf(double most) {
  double step = 1;
  while (most / step > 4) step *= 2;
  return step;
}

struct Area {
  std::string name, color;
  std::vector<double> values;
};

class Chart {
 public:
  Chart(double most, double height) : most_(most > 0 ? most : 1), height_(height) {}

  void Scale() {
    const double step = StepOf(most_);
    for (double value = 0; value <= most_ * 1.001; value += step) {
      absl::StrAppendFormat(
          &svg_,
          "<line class=\"grid\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" "
          "y2=\"%.1f\"/><text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
          kLeft, kWidth - kRight, Y(value), Y(value), kLeft - 6, Y(value) + 4, HumanBytes(value));
    }
  }
  void Times(const TimelineGrid& grid) {
    constexpr int kTimes = 6;
    const uint64_t span = grid.to_ns - grid.from_ns;
    const bool days = span > uint64_t{36} * 3600 * 1'000'000'000;
    for (int i = 0; i <= kTimes; ++i) {
      const absl::Time time = absl::FromUnixNanos(
          static_cast<int64_t>(grid.from_ns + span / kTimes * static_cast<uint64_t>(i)));
      const char* anchor = i == 0 ? "start" : i == kTimes ? "end" : "middle";
      absl::StrAppendFormat(
          &svg_, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
          kLeft + (kWidth - kLeft - kRight) * i / kTimes, Y(0) + 16, anchor,
          absl::FormatTime(days ? "%m-%d %H:%M" : "%H:%M:%S", time, absl::UTCTimeZone()));
    }
  }
  void Stack(const std::vector<Area>& areas) {
    std::vector<double> below(kColumns, 0);
    for (const Area& area : areas) {
      std::string forth, back;
      for (size_t i = 0; i < kColumns; ++i) {
        const double top = below[i] + area.values[i];
        absl::StrAppendFormat(&forth, "%.1f,%.1f ", X(i), Y(top));
        back = absl::StrFormat("%.1f,%.1f ", X(i), Y(below[i])) + back;
        below[i] = top;
      }
      absl::StrAppend(&svg_, "<polygon fill=\"", area.color, "\" points=\"", forth, back,
                      "\"><title>", EscapeMarkup(area.name), "</title></polygon>\n");
    }
  }
  // What is not known, or nothing, breaks the line.
  void Line(const std::vector<double>& values, const char* kind) {
    std::string path;
    bool pen_down = false;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] > 0)
        absl::StrAppendFormat(&path, "%s%.1f %.1f", pen_down ? "L" : "M", X(i), Y(values[i]));
      pen_down = values[i] > 0;
    }
    if (!path.empty()) absl::StrAppend(&svg_, "<path class=\"", kind, "\" d=\"", path, "\"/>\n");
  }
  void Word(absl::string_view text) {
    absl::StrAppendFormat(&svg_, "<text x=\"%.0f\" y=\"14\">%s</text>\n", kLeft + 6,
                          EscapeMarkup(text));
  }
  std::string Finish() const {
    return absl::StrFormat("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n%s</svg>\n", kWidth,
                           height_, svg_);
  }

 private:
  double Y(double value) const {
    const double room = height_ > 100 ? height_ - 34 : height_ - 6;
    return 10 + (room - 10) * (1 - std::min(value / most_, 1.0));
  }

  const double most_, height_;
  std::string svg_;
};

double MostOf(std::initializer_list<const std::vector<double>*> rows) {
  double most = 0;
  for (const std::vector<double>* row : rows)
    for (const double value : *row) most = std::max(most, value);
  return most * 1.05;
}

std::string Legend(const std::vector<Area>& areas, const TimelineGrid& grid) {
  std::string text = "<ul>\n";
  for (const Area& area : areas) {
    absl::StrAppend(&text, "<li><i style=\"background:", area.color, "\"></i>",
                    EscapeMarkup(area.name), "</li>\n");
  }
  const auto line = [&](const char* name, const char* color, const std::vector<double>& values) {
    if (MostOf({&values}) == 0) return;
    absl::StrAppend(&text, "<li class=\"stroke\"><i style=\"border-color:var(--", color, ")\"></i>",
                    name, "</li>\n");
  };
  line("resident (RSS)", "rss", grid.rss);
  line("control group", "group", grid.cgroup);
  line("its limit", "limit", grid.limit);
  return text + "</ul>\n";
}

std::string Picture(const std::vector<Area>& areas, const TimelineGrid& grid) {
  // A limit far above would flatten everything below it; then it is said in words alone.
  const double used = MostOf({&grid.rss, &grid.live});
  const double limit = MostOf({&grid.limit});
  const double group = MostOf({&grid.cgroup});
  double most = used;
  if (limit < 4 * used) most = std::max(most, limit);
  if (group < 2 * used) most = std::max(most, group);
  Chart chart(most, kHeight);
  chart.Scale();
  chart.Stack(areas);
  if (group < 2 * used) chart.Line(grid.cgroup, "group");
  chart.Line(grid.rss, "rss");
  if (limit < 4 * used) chart.Line(grid.limit, "limit");
  chart.Times(grid);
  return chart.Finish() + Legend(areas, grid);
}

std::vector<Area> SiteAreas(const model::Timeline& timeline, const TimelineGrid& grid) {
  std::vector<Area> areas;
  std::vector<double> rest = grid.live;
  for (size_t i = 0; i < timeline.sites.size(); ++i) {
    areas.push_back({FrameText(timeline.sites[i]), Hsl(SiteColor(i)), grid.sites[i]});
    for (size_t column = 0; column < rest.size(); ++column)
      rest[column] = std::max(0.0, rest[column] - grid.sites[i][column]);
  }
  areas.push_back({"all other live memory", "hsl(40 8% 74%)", std::move(rest)});
  return areas;
}

std::vector<Area> DomainAreas(const TimelineGrid& grid) {
  std::vector<Area> areas;
  for (size_t i = 0; i < grid.domains.size(); ++i) {
    if (MostOf({&grid.domains[i]}) == 0) continue;
    areas.push_back(
        {model::DomainName(static_cast<model::Domain>(i)), Hsl(DomainColor(i)), grid.domains[i]});
  }
  return areas;
}

// Live memory by domain, and what is resident beside it; empty where nobody looked.
std::string PictureByKind(const TimelineGrid& grid) {
  std::vector<Area> areas = DomainAreas(grid);
  const size_t domains = areas.size();
  for (size_t i = 0; i < grid.kinds.size(); ++i) {
    if (MostOf({&grid.kinds[i].values}) > 0)
      areas.push_back({grid.kinds[i].name, Hsl(SiteColor(i + 1)), grid.kinds[i].values});
  }
  if (areas.size() == domains) return "";
  return absl::StrCat("<h2>Resident memory by kind</h2>\n", Picture(areas, grid));
}

std::string Processes(const model::Timeline& timeline, const TimelineGrid& grid) {
  if (timeline.processes.size() < 2) return "";
  std::string text = "<h2>Resident memory of each process</h2>\n";
  double most = 0;
  for (const std::vector<double>& row : grid.process_rss) most = std::max(most, MostOf({&row}));
  size_t shown = 0;
  for (size_t i = 0; i < timeline.processes.size() && shown < kProcessesShown; ++i) {
    const model::TimelineProcess& process = timeline.processes[i];
    if (MostOf({&grid.process_rss[i]}) == 0) continue;
    ++shown;
    Chart chart(most, kSmall);
    chart.Line(grid.process_rss[i], "rss");
    chart.Word(absl::StrCat(process.name, " ", process.pid, " on ", process.host, ", ",
                            model::ProcessStateName(process.state), ", most ",
                            HumanBytes(MostOf({&grid.process_rss[i]}) / 1.05)));
    absl::StrAppend(&text, chart.Finish());
  }
  return text;
}

}  // namespace

std::string TimelineHtml(const model::Timeline& timeline) {
  const TimelineGrid grid = GridOf(timeline, kColumns);
  const auto time = [](uint64_t ns) {
    return DateAndTime(absl::FromUnixNanos(static_cast<int64_t>(ns)));
  };
  const size_t count = timeline.processes.size();
  const std::string scope = absl::StrCat(count, count == 1 ? " process, " : " processes, ",
                                         time(grid.from_ns), " to ", time(grid.to_ns), " UTC");
  const double limit = MostOf({&grid.limit}) / 1.05;
  std::string text =
      absl::StrCat(kHead, "<title>heapecho: memory over time, ", EscapeMarkup(scope), "</title>\n",
                   kStyle, "</head>\n<body>\n<h1>Memory over time</h1>\n<p>", EscapeMarkup(scope),
                   limit > 0 ? absl::StrCat(", limit ", HumanBytes(limit)) : "", "</p>\n",
                   "<h2>Live memory by site</h2>\n", Picture(SiteAreas(timeline, grid), grid),
                   "<h2>Live memory by domain</h2>\n", Picture(DomainAreas(grid), grid),
                   PictureByKind(grid), Processes(timeline, grid));
  for (const std::string& warning : timeline.warnings)
    absl::StrAppend(&text, "<p class=\"warnings\">", EscapeMarkup(warning), "</p>\n");
  return text + "</body>\n</html>\n";
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// Memory over time as text and CSV; the contract is in the header.
#include "analyzer/output/timeline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "analyzer/output/site_text.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

constexpr size_t kColumns = 60;
constexpr size_t kProcessesShown = 20;

absl::Time ToTime(uint64_t realtime_ns) {
  return absl::FromUnixNanos(static_cast<int64_t>(realtime_ns));
}

std::string Bars(const std::vector<double>& values, double most) {
  constexpr std::array<const char*, 9> kBars = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string text;
  for (const double value : values) {
    const double part = most > 0 ? value / most * 8 : 0;
    text += kBars[value > 0 ? std::clamp<size_t>(static_cast<size_t>(std::ceil(part)), 1, 8) : 0];
  }
  return text;
}

double Most(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

// A row of the table: its name, bars that fill up to the row's own highest value, first, highest
// and last value.
void AddRow(const std::string& name, const std::vector<double>& values,
            std::vector<std::vector<std::string>>* rows,
            const std::function<std::string(double)>& text = HumanBytes) {
  const double most = Most(values);
  if (!(most > 0)) return;
  const double first = *std::find_if(values.begin(), values.end(), [](double v) { return v > 0; });
  rows->push_back({name, absl::StrCat("|", Bars(values, most), "|"), text(first), text(most),
                   text(values.back())});
}

// What a process has resident beside live memory, by kind; nothing where nobody looked.
struct KindOfMemory {
  const char* name;
  const char* column;  // of the CSV
  std::optional<double> (*of)(const model::MemoryAccount&);
};
constexpr KindOfMemory kKinds[] = {
    {"rounding, headers", "overhead",
     [](const model::MemoryAccount& a) { return std::optional(a.overhead); }},
    {"kept by malloc", "kept_malloc",
     [](const model::MemoryAccount& a) { return a.retained.malloc; }},
    {"kept by Python", "kept_python",
     [](const model::MemoryAccount& a) { return a.retained.python; }},
    {"kept by Arrow", "kept_arrow", [](const model::MemoryAccount& a) { return a.retained.arrow; }},
    {"heapecho's own", "own", [](const model::MemoryAccount& a) { return std::optional(a.own); }},
    {"files, shared", "file_backed",
     [](const model::MemoryAccount& a) { return std::optional(a.file_backed); }},
    {"thread stacks", "stacks", [](const model::MemoryAccount& a) { return a.stacks; }},
    {"unexplained", "unexplained",
     [](const model::MemoryAccount& a) { return std::optional(a.Unexplained()); }},
};

std::string SiteName(const model::Frame& frame) { return FrameText(frame); }

std::string CsvField(const std::string& text) {
  const std::string clean = Printable(text);
  if (clean.find_first_of(",\"") == std::string::npos) return clean;
  return absl::StrCat("\"", absl::StrReplaceAll(clean, {{"\"", "\"\""}}), "\"");
}

}  // namespace

TimelineGrid GridOf(const model::Timeline& timeline, size_t columns) {
  TimelineGrid grid;
  grid.columns = columns;
  for (std::vector<double>* row :
       {&grid.rss, &grid.swap, &grid.limit, &grid.cgroup, &grid.live, &grid.threads})
    row->resize(columns);
  grid.domains.assign(4, std::vector<double>(columns));
  for (const KindOfMemory& kind : kKinds)
    grid.kinds.push_back({kind.name, std::vector<double>(columns)});
  grid.sites.assign(timeline.sites.size(), std::vector<double>(columns));
  grid.process_rss.assign(timeline.processes.size(), std::vector<double>(columns));
  grid.from_ns = UINT64_MAX;
  for (const model::TimelineProcess& process : timeline.processes) {
    grid.from_ns = std::min(grid.from_ns, process.started_realtime_ns);
    grid.to_ns = std::max(grid.to_ns, process.ended_realtime_ns);
  }
  if (timeline.processes.empty()) grid.from_ns = 0;
  grid.to_ns = std::max(grid.to_ns, grid.from_ns + 1);
  const double width =
      static_cast<double>(grid.to_ns - grid.from_ns) / static_cast<double>(columns);
  const auto start_of = [&](size_t column) {
    return grid.from_ns + static_cast<uint64_t>(width * static_cast<double>(column));
  };
  for (size_t p = 0; p < timeline.processes.size(); ++p) {
    const model::TimelineProcess& process = timeline.processes[p];
    size_t next = 0;  // the first point that lies behind the column
    for (size_t column = 0; column < columns; ++column) {
      const uint64_t begin = start_of(column);
      const uint64_t end = column + 1 == columns ? grid.to_ns + 1 : start_of(column + 1);
      const size_t before = next;
      while (next < process.points.size() && process.points[next].realtime_ns < end) ++next;
      if (next == 0 || begin > process.ended_realtime_ns) continue;  // not yet, or no more
      const model::TimelinePoint& last = process.points[next - 1];
      double rss = static_cast<double>(last.values.rss());
      double swap = static_cast<double>(last.values.swap);
      for (size_t i = before; i < next; ++i) {
        rss = std::max(rss, static_cast<double>(process.points[i].values.rss_most));
        swap = std::max(swap, static_cast<double>(process.points[i].values.swap));
      }
      grid.rss[column] += rss;
      grid.swap[column] += swap;
      grid.process_rss[p][column] = rss;
      // Processes of one group see the same words.
      grid.limit[column] =
          std::max(grid.limit[column], static_cast<double>(last.values.cgroup_limit));
      grid.cgroup[column] =
          std::max(grid.cgroup[column], static_cast<double>(last.values.cgroup_current));
      grid.live[column] += last.values.live.bytes;
      grid.threads[column] += last.values.threads;
      for (size_t i = 0; i < grid.domains.size(); ++i)
        grid.domains[i][column] += last.values.domain_live[i];
      for (size_t i = 0; last.memory.known && i < grid.kinds.size(); ++i)
        grid.kinds[i].values[column] += std::max(kKinds[i].of(last.memory).value_or(0), 0.0);
      for (size_t i = 0; i < grid.sites.size(); ++i) grid.sites[i][column] += last.sites[i];
    }
  }
  return grid;
}

std::string TimelineText(const model::Timeline& timeline) {
  const TimelineGrid grid = GridOf(timeline, kColumns);
  size_t points = 0;
  for (const model::TimelineProcess& process : timeline.processes) points += process.points.size();
  const absl::Time from = ToTime(grid.from_ns), to = ToTime(grid.to_ns);
  const size_t count = timeline.processes.size();
  std::string text = absl::StrCat(
      "heapecho: ", count, count == 1 ? " process, " : " processes, ", Plural(points, "point"),
      "; ", DateAndTime(from), " to ", DateAndTime(to), " UTC (", Duration(to - from), ", ",
      absl::StrFormat("%.3g s", absl::ToDoubleSeconds(to - from) / kColumns), " a column)\n\n");
  std::vector<std::vector<std::string>> rows = {{"", "", "FIRST", "MOST", "LAST"}};
  AddRow("resident", grid.rss, &rows);
  AddRow("swapped", grid.swap, &rows);
  AddRow("control group", grid.cgroup, &rows);
  AddRow("its limit", grid.limit, &rows);
  AddRow("live", grid.live, &rows);
  for (size_t i = 0; i < grid.domains.size(); ++i) {
    AddRow(absl::StrCat("  ", model::DomainName(static_cast<model::Domain>(i))), grid.domains[i],
           &rows);
  }
  for (size_t i = 0; i < grid.sites.size(); ++i)
    AddRow(absl::StrCat("  ", SiteName(timeline.sites[i])), grid.sites[i], &rows);
  for (const TimelineGrid::Kind& kind : grid.kinds) AddRow(kind.name, kind.values, &rows);
  AddRow("threads", grid.threads, &rows, HumanCount);
  absl::StrAppend(&text, TextTable(rows, {2, 3, 4}), "\n");
  if (timeline.processes.size() > 1) {
    rows = {{"RESIDENT", "", "FIRST", "MOST", "LAST"}};
    // The largest ones, in the order of their starts.
    std::vector<size_t> order(timeline.processes.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return Most(grid.process_rss[a]) > Most(grid.process_rss[b]);
    });
    order.resize(std::min(order.size(), kProcessesShown));
    std::sort(order.begin(), order.end());
    for (const size_t i : order) {
      const model::TimelineProcess& process = timeline.processes[i];
      AddRow(absl::StrCat(Printable(process.name), " ", process.pid, " ",
                          model::ProcessStateName(process.state)),
             grid.process_rss[i], &rows);
    }
    absl::StrAppend(&text, TextTable(rows, {2, 3, 4}));
    if (timeline.processes.size() > kProcessesShown) {
      absl::StrAppend(&text, "  and ", timeline.processes.size() - kProcessesShown,
                      " that had less resident\n");
    }
    absl::StrAppend(&text, "\n");
  }
  if (timeline.warnings.empty()) return absl::StrCat(text, "Warnings: none\n");
  absl::StrAppend(&text, "Warnings\n");
  for (const std::string& warning : timeline.warnings)
    absl::StrAppend(&text, "  ", Printable(warning), "\n");
  return text;
}

std::string TimelineCsv(const model::Timeline& timeline) {
  std::string text =
      "time,host,pid,id,covers_s,rss_anon,rss_file,rss_shmem,rss_most,swap,cgroup_current,"
      "cgroup_limit,cgroup_oom_kills,live,live_error,live_malloc,live_python,live_arrow,live_mmap,"
      "allocated,freed,threads,samples,dropped,interval";
  for (const KindOfMemory& kind : kKinds) absl::StrAppend(&text, ",", kind.column);
  for (const model::Frame& site : timeline.sites)
    absl::StrAppend(&text, ",", CsvField(absl::StrCat("site ", SiteName(site))));
  absl::StrAppend(&text, "\n");
  for (const model::TimelineProcess& process : timeline.processes) {
    for (const model::TimelinePoint& point : process.points) {
      const model::HistoryPoint& values = point.values;
      const auto add = [&](double amount, bool known = true) {
        absl::StrAppend(&text, ",", known ? absl::StrFormat("%.0f", amount) : "");
      };
      const auto add_whole = [&](uint64_t amount, bool known = true) {
        absl::StrAppend(&text, ",", known ? absl::StrCat(amount) : "");
      };
      absl::StrAppend(
          &text,
          absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", ToTime(point.realtime_ns),
                           absl::UTCTimeZone()),
          ",", CsvField(process.host), ",", process.pid, ",", process.id,
          absl::StrFormat(",%.3f",
                          static_cast<double>(point.realtime_ns - point.from_realtime_ns) * 1e-9));
      for (const uint64_t amount :
           {values.rss_anon, values.rss_file, values.rss_shmem, values.rss_most, values.swap})
        add_whole(amount, values.rss_known);
      add_whole(values.cgroup_current, values.cgroup_known);
      add_whole(values.cgroup_limit, values.cgroup_limit != 0);
      add_whole(values.cgroup_oom_kills, values.cgroup_known);
      add(values.live.bytes);
      add(values.live.BytesError());
      for (const double live : values.domain_live) add(live);
      add(values.allocated);
      add(values.freed);
      add_whole(values.threads, values.threads != 0);
      add_whole(values.samples);
      add_whole(values.dropped);
      add_whole(values.interval);
      for (const KindOfMemory& kind : kKinds) {
        const std::optional<double> bytes =
            point.memory.known ? kind.of(point.memory) : std::nullopt;
        add(bytes.value_or(0), bytes.has_value());
      }
      for (const double bytes : point.sites) add(bytes);
      absl::StrAppend(&text, "\n");
    }
  }
  return text;
}

}  // namespace heapecho::output

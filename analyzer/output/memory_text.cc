// SPDX-License-Identifier: Apache-2.0
// Where the memory went, as a table; the contract is in the header.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "analyzer/output/memory.h"
#include "analyzer/output/report_times.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

using model::MemoryAccount;

constexpr size_t kProcessesShown = 4;
constexpr double kMebi = 1 << 20;

std::string Mebibytes(double bytes) {
  const double mebibytes = std::round(bytes / kMebi * 10) / 10;
  return absl::StrFormat("%.1f", mebibytes == 0 ? 0.0 : mebibytes);  // no minus before a zero
}

// One column of the table: a process, or the sum of all.
struct Column {
  std::string title;
  MemoryAccount account;
};

void Add(const std::optional<double>& part, std::optional<double>* sum) {
  if (part) *sum = sum->value_or(0) + *part;
}

void Add(const MemoryAccount& part, MemoryAccount* sum) {
  sum->rss += part.rss;
  for (size_t i = 0; i < sum->live.size(); ++i) sum->live[i] += part.live[i];
  sum->live_error = std::hypot(sum->live_error, part.live_error);
  Add(part.untouched, &sum->untouched);
  sum->swapped += part.swapped;
  sum->overhead += part.overhead;
  Add(part.retained.malloc, &sum->retained.malloc);
  Add(part.retained.python, &sum->retained.python);
  Add(part.retained.arrow, &sum->retained.arrow);
  sum->own += part.own;
  sum->file_backed += part.file_backed;
  Add(part.stacks, &sum->stacks);
}

// Pages that nobody wrote to since a fork are one process's: the parent's, or where that is not
// among them, the first child's.
double CountedTwice(const std::vector<const model::ProcessSummary*>& processes) {
  std::set<model::RecordingId> counted;
  for (const model::ProcessSummary* process : processes) counted.insert(process->recording.id);
  double twice = 0;
  for (const model::ProcessSummary* process : processes) {
    const model::Recording& recording = process->recording;
    if (!recording.parent_id.IsZero() && !counted.insert(recording.parent_id).second)
      twice += process->memory.inherited;
  }
  return twice;
}

// What else the control group pays for.
std::string GroupText(const model::ProcessSummary& process) {
  const model::Recording& recording = process.recording;
  const model::CgroupMemory& group = recording.cgroup;
  if (group.time_ns == 0 || recording.cgroup_current == 0) return "";
  const auto mebibytes = [](uint64_t bytes) { return Mebibytes(static_cast<double>(bytes)); };
  std::string text = absl::StrCat("  The control group held ", mebibytes(recording.cgroup_current));
  if (recording.cgroup_limit != 0)
    absl::StrAppend(&text, " of ", mebibytes(recording.cgroup_limit));
  absl::StrAppend(&text, " MiB: anonymous ", mebibytes(group.anon), ", page cache ",
                  mebibytes(group.file - std::min(group.file, group.shmem)), ", shared and tmpfs ",
                  mebibytes(group.shmem), ", kernel ", mebibytes(group.Kernel()));
  std::vector<std::string> kernel;
  const auto add = [&](const char* name, uint64_t bytes) {
    if (mebibytes(bytes) != "0.0") kernel.push_back(absl::StrCat(name, " ", mebibytes(bytes)));
  };
  add("page tables", group.page_tables);
  add("stacks", group.kernel_stack);
  add("slab", group.slab);
  add("sockets", group.sock);
  if (!kernel.empty()) absl::StrAppend(&text, " (", absl::StrJoin(kernel, ", "), ")");
  if (group.limit_hits != 0)
    absl::StrAppend(&text, "; it was at its limit ",
                    HumanCount(static_cast<double>(group.limit_hits)), " times");
  return text + "\n";
}

// Whether both were there when the larger one was looked at: what ran one after the other is no
// sum.
bool RanBeside(const model::ProcessSummary& process, const model::ProcessSummary& largest) {
  const absl::Time then = absl::FromUnixNanos(static_cast<int64_t>(largest.memory.realtime_ns));
  return &process == &largest || (StartedAt(process.recording) <= then && EndedAt(process) >= then);
}

// Those that ran beside the one that had most resident, largest first.
std::vector<const model::ProcessSummary*> Largest(const model::Report& report) {
  std::vector<const model::ProcessSummary*> processes;
  for (const model::ProcessSummary& process : report.processes)
    if (process.memory.known) processes.push_back(&process);
  std::stable_sort(processes.begin(), processes.end(),
                   [](const auto* a, const auto* b) { return a->memory.rss > b->memory.rss; });
  std::erase_if(processes, [largest = processes.empty() ? nullptr : processes.front()](
                               const auto* process) { return !RanBeside(*process, *largest); });
  return processes;
}

std::vector<Column> ColumnsOf(const std::vector<const model::ProcessSummary*>& processes) {
  Column all;
  for (const model::ProcessSummary* process : processes) Add(process->memory, &all.account);
  all.account.inherited = CountedTwice(processes);
  all.account.rss -= all.account.inherited;
  std::vector<Column> columns;
  if (processes.size() > 1) {
    all.title = absl::StrCat("all ", processes.size());
    columns.push_back(std::move(all));
  }
  for (size_t i = 0; i < std::min(processes.size(), kProcessesShown); ++i) {
    const model::ProcessSummary& process = *processes[i];
    columns.push_back(
        {absl::StrCat(Printable(process.name), " ", process.recording.pid), process.memory});
  }
  return columns;
}

class Table {
 public:
  explicit Table(const std::vector<Column>& columns) : columns_(columns) {
    std::vector<std::string>& heading = rows_.emplace_back(1, "MiB");
    for (const Column& column : columns_) {
      heading.push_back(column.title);
      if (&column == &columns_.front()) heading.push_back("");
    }
  }
  // A part that is nothing everywhere, or that nobody knows, has no row.
  template <typename Part>
  void Row(const std::string& name, Part part, bool always = false) {
    std::vector<std::string> row = {name};
    bool any = always;
    for (const Column& column : columns_) {
      const std::optional<double> bytes = part(column.account);
      any = any || (bytes && Mebibytes(*bytes) != "0.0");
      row.push_back(bytes ? Mebibytes(*bytes) : "?");
      if (&column == &columns_.front())
        row.push_back(bytes ? HumanShare(*bytes, column.account.rss) : "");
    }
    if (any) rows_.push_back(std::move(row));
  }
  std::string Text() const {
    std::vector<size_t> right;
    for (size_t i = 1; i < rows_.front().size(); ++i) right.push_back(i);
    return TextTable(rows_, right);
  }

 private:
  const std::vector<Column>& columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace

std::string MemoryText(const model::Report& report) {
  const std::vector<const model::ProcessSummary*> processes = Largest(report);
  if (processes.empty()) return "";
  const std::vector<Column> columns = ColumnsOf(processes);
  using Part = std::optional<double>;
  const auto less = [](Part part) { return part ? Part(-*part) : part; };
  Table table(columns);
  for (size_t i = 0; i < columns.front().account.live.size(); ++i) {
    table.Row(absl::StrCat("live, ", model::DomainName(static_cast<model::Domain>(i))),
              [i](const MemoryAccount& account) { return Part(account.live[i]); });
  }
  table.Row("  of it never touched", [&](const MemoryAccount& a) { return less(a.untouched); });
  table.Row("  swapped out", [](const MemoryAccount& a) { return Part(-a.swapped); });
  table.Row("rounding and headers", [](const MemoryAccount& a) { return Part(a.overhead); });
  table.Row("kept by malloc", [](const MemoryAccount& a) { return a.retained.malloc; });
  table.Row("kept by Python's allocator", [](const MemoryAccount& a) { return a.retained.python; });
  table.Row("kept by Arrow's pools", [](const MemoryAccount& a) { return a.retained.arrow; });
  table.Row("heapecho's own", [](const MemoryAccount& a) { return Part(a.own); });
  table.Row("files, shared memory", [](const MemoryAccount& a) { return Part(a.file_backed); });
  table.Row("thread stacks", [](const MemoryAccount& a) { return a.stacks; });
  // A process's own column has such pages in its parts and in what is resident.
  const MemoryAccount* const sum = columns.size() > 1 ? &columns.front().account : nullptr;
  const auto twice = [&](const MemoryAccount& a) { return &a == sum ? a.inherited : 0.0; };
  table.Row("in parent and child, once", [&](const MemoryAccount& a) { return Part(-twice(a)); });
  table.Row(
      "unexplained", [&](const MemoryAccount& a) { return Part(a.Unexplained() + twice(a)); },
      true);
  table.Row(
      "resident (RSS)", [](const MemoryAccount& a) { return Part(a.rss); }, true);
  return absl::StrCat("Where the memory went, when last looked at (what is live is known to ± ",
                      Mebibytes(columns.front().account.live_error), " MiB, and so is the rest)\n",
                      table.Text(), GroupText(*processes.front()), "\n");
}

}  // namespace heapecho::output

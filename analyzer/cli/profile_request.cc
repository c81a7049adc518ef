// SPDX-License-Identifier: Apache-2.0
// Which recordings and which of their figures; the contract is in the header.
#include "analyzer/cli/profile_request.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/naming.h"
#include "analyzer/output/end_text.h"
#include "analyzer/output/units.h"
#include "analyzer/reader/find_recordings.h"
#include "analyzer/reader/liveness/liveness.h"
#include "analyzer/reader/reader.h"

namespace heapecho::cli {
namespace {

template <typename T>
absl::StatusOr<T> Choose(const Arguments& arguments, const std::string& option,
                         const std::vector<std::pair<std::string, T>>& choices) {
  if (!arguments.Has(option)) return choices.front().second;
  const std::string given = arguments.Get(option);
  for (const auto& [name, value] : choices) {
    if (name == given) return value;
  }
  const auto name_of = [](std::string* out, const auto& choice) { out->append(choice.first); };
  return absl::InvalidArgumentError(
      absl::StrCat(option, " ", given, ": must be one of ", absl::StrJoin(choices, ", ", name_of)));
}

absl::Status Named(const std::string& option, const Arguments& arguments,
                   const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat(option, " ", arguments.Get(option), ": ", status.message()));
}

absl::Status ParseMoments(const Arguments& arguments, aggregator::Options* options) {
  options->at_text = arguments.Get("--at");
  if (options->at_text == "peak") {
    if (options->value != model::Value::kLive) {
      return absl::InvalidArgumentError("--at peak: is of what is live alone");
    }
    options->value = model::Value::kPeak;  // which is kept exactly
  } else if (arguments.Has("--at")) {
    const auto at = aggregator::ParseMoment(arguments.Get("--at"));
    if (!at.ok()) return absl::InvalidArgumentError(absl::StrCat("--at ", at.status().message()));
    options->at = *at;
  }
  if (!arguments.Has("--since")) return absl::OkStatus();
  const auto since = aggregator::ParseMoment(arguments.Get("--since"));
  if (!since.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--since ", since.status().message()));
  }
  options->since = *since;
  return absl::OkStatus();
}

bool IsDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// When the recording last heard of its process, on the clock on the wall.
absl::Time LastSeen(const model::Recording& recording) {
  const uint64_t end =
      std::max({recording.last_event_ns, recording.process_end_ns, recording.begin_ns});
  return absl::FromUnixNanos(static_cast<int64_t>(recording.begin_realtime_ns)) +
         absl::Nanoseconds(static_cast<int64_t>(end - recording.begin_ns));
}

}  // namespace

std::vector<Option> WithProfileOptions(std::vector<Option> own) {
  std::vector<Option> options = {
      {"--value", "live|peak|allocated|grown|last",
       "what is held (default), was held at the peak, was ever allocated, grew since a moment, or "
       "grew in the last rise"},
      {"--at", "TIME|peak",
       "what was live at another moment: 2026-11-21 05:07:27 or 05:07 (UTC), or 10m (before the "
       "end)"},
      {"--since", "TIME", "of --value grown: from when on; default: the second half of each life"},
      {"--unit", "bytes|objects", "what is counted; default bytes"},
      {"--by", "process|thread|domain|view",
       "a root for each of them; view: the handler of a request, read off the Python stack"},
      {"--where", "KEY=VALUE,...",
       "only pid=, host=, domain= or thread=; several of one key are alternatives"},
      {"--native", "full|leaf|none",
       "native frames around Python ones: all (default), inside of the innermost alone, or none"},
      {"--internals", "", "show the interpreter's own call plumbing and import machinery too"},
      {"--lines", "", "tell lines of one function apart"},
      {"--sysroot", "DIR", "where the recorded machine's libraries lie, for their symbols"}};
  options.insert(options.end(), std::make_move_iterator(own.begin()),
                 std::make_move_iterator(own.end()));
  return options;
}

absl::StatusOr<ProfileRequest> ParseProfileRequest(const Arguments& arguments) {
  ProfileRequest request;
  request.paths = arguments.operands();
  if (request.paths.empty()) {
    return absl::InvalidArgumentError(
        "no recording was named: give a PATH, or a directory of them");
  }
  const absl::StatusOr<model::Value> value =
      Choose<model::Value>(arguments, "--value",
                           {{"live", model::Value::kLive},
                            {"peak", model::Value::kPeak},
                            {"allocated", model::Value::kAllocated},
                            {"grown", model::Value::kGrown},
                            {"last", model::Value::kLast}});
  if (!value.ok()) return value.status();
  request.options.value = *value;
  if (const absl::Status status = ParseMoments(arguments, &request.options); !status.ok())
    return status;
  const absl::StatusOr<model::Unit> unit = Choose<model::Unit>(
      arguments, "--unit", {{"bytes", model::Unit::kBytes}, {"objects", model::Unit::kObjects}});
  if (!unit.ok()) return unit.status();
  request.options.unit = *unit;
  if (arguments.Has("--by")) {
    const absl::StatusOr<aggregator::By> by = aggregator::ParseBy(arguments.Get("--by"));
    if (!by.ok()) return Named("--by", arguments, by.status());
    request.options.by = *by;
  }
  if (arguments.Has("--where")) {
    absl::StatusOr<aggregator::Where> where = aggregator::ParseWhere(arguments.Get("--where"));
    if (!where.ok()) return Named("--where", arguments, where.status());
    request.options.where = *std::move(where);
  }
  if (const absl::Status status = aggregator::Check(request.options); !status.ok()) return status;
  const absl::StatusOr<aggregator::Native> native =
      Choose<aggregator::Native>(arguments, "--native",
                                 {{"full", aggregator::Native::kFull},
                                  {"leaf", aggregator::Native::kLeaf},
                                  {"none", aggregator::Native::kNone}});
  if (!native.ok()) return native.status();
  request.options.native = *native;
  request.options.internals = arguments.Has("--internals");
  request.lines = arguments.Has("--lines");
  request.sysroot = arguments.Get("--sysroot");
  if (!request.sysroot.empty() && !IsDirectory(request.sysroot)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.sysroot, ": is no directory (--sysroot)"));
  }
  return request;
}

absl::StatusOr<std::vector<std::string>> ReadEach(
    const std::vector<std::string>& paths, reader::Events events, Progress* progress,
    absl::FunctionRef<void(model::Recording, model::ProcessState)> visit) {
  const absl::StatusOr<std::vector<std::string>> files = reader::FindRecordings(paths);
  if (!files.ok()) {
    const bool all_there = std::all_of(paths.begin(), paths.end(), IsDirectory);
    if (absl::IsNotFound(files.status()) && all_there) return files.status();
    return absl::InvalidArgumentError(files.status().message());
  }
  std::vector<std::string> unreadable;
  for (size_t i = 0; i < files->size(); ++i) {
    progress->Show("reading recording", i + 1, files->size());
    absl::StatusOr<model::Recording> recording = reader::ReadRecording((*files)[i], events);
    if (recording.ok()) {
      const model::ProcessState state = reader::StateOf(*recording);
      visit(*std::move(recording), state);
    } else {
      unreadable.emplace_back(recording.status().message());
    }
  }
  if (unreadable.size() == files->size()) {
    const std::string others =
        unreadable.size() == 1 ? "" : absl::StrCat(" (and ", unreadable.size() - 1, " more)");
    return absl::InvalidArgumentError(absl::StrCat(unreadable.front(), others));
  }
  progress->Clear();
  for (std::string& text : unreadable) {
    absl::StrAppend(&text, "; it is left out");
    Warn(text);
  }
  return unreadable;
}

absl::StatusOr<model::Report> LoadReport(const ProfileRequest& request) {
  Progress progress;
  aggregator::Aggregator aggregator(request.options);
  const absl::StatusOr<std::vector<std::string>> left_out = ReadEach(
      request.paths,
      aggregator::NeedsEvents(request.options) ? reader::Events::kKeep : reader::Events::kCheck,
      &progress, [&](model::Recording recording, model::ProcessState state) {
        aggregator.Add(std::move(recording), state);
      });
  if (!left_out.ok()) return left_out.status();
  std::vector<std::string> warnings = *left_out;
  model::Report report = FinishNamed(aggregator, request.sysroot, &progress, &warnings);
  for (std::string& text : warnings) report.profile.warnings.push_back(std::move(text));
  return report;
}

absl::Status NothingToShow(const ProfileRequest& request) {
  return absl::NotFoundError(
      absl::StrCat(absl::StrJoin(request.paths, ", "), ": nothing to show: no ",
                   output::ValueName(request.options.value), " ",
                   output::UnitName(request.options.unit), " of what was asked for were sampled"));
}

int FailWith(const absl::Status& status) {
  return Fail(absl::IsNotFound(status) ? kNothing : kBadInput, status.message());
}

std::string ScopeOf(const model::Report& report, const ProfileRequest& request) {
  std::set<std::string> hosts, names;
  absl::Time last = absl::InfinitePast();
  for (const model::ProcessSummary& process : report.processes) {
    if (!process.recording.identity.host.empty()) hosts.insert(process.recording.identity.host);
    names.insert(process.name);
    last = std::max(last, LastSeen(process.recording));
  }
  const size_t count = report.processes.size();
  std::string scope = absl::StrCat(absl::StrJoin(names, ", "));
  if (!hosts.empty()) absl::StrAppend(&scope, " on ", absl::StrJoin(hosts, ", "));
  absl::StrAppend(&scope, ": ", output::ValueName(request.options.value), " ",
                  output::UnitName(request.options.unit), " of ", count,
                  count == 1 ? " recording" : " recordings");
  if (count != 0) {
    absl::StrAppend(&scope, ", last seen ",
                    absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", last, absl::UTCTimeZone()));
  }
  return scope;
}

std::vector<std::string> ProcessLines(const model::Report& report) {
  std::vector<std::string> lines;
  for (const model::ProcessSummary& process : report.processes) {
    const model::Recording& recording = process.recording;
    std::string line = absl::StrCat(process.name, " ", recording.pid);
    if (!recording.identity.host.empty()) absl::StrAppend(&line, " on ", recording.identity.host);
    absl::StrAppend(&line, ", ", output::EndText(process.end));
    absl::StrAppend(
        &line, ", ", output::HumanCount(static_cast<double>(recording.samples)),
        " samples, last seen ",
        absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", LastSeen(recording), absl::UTCTimeZone()));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace heapecho::cli

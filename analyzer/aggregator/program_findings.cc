// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/program_findings.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace heapecho::aggregator {
namespace {

using model::Finding;
using model::Frame;
using model::ProcessSummary;
using model::Severity;

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// What a command line says; empty: nothing of a development server.
std::string DevelopmentServerOf(const std::vector<std::string>& command) {
  bool flask = false, reloads = false;
  std::string server;
  for (const std::string& word : command) {
    const absl::string_view name = BaseName(word);
    if (name == "runserver" || name == "runserver_plus") return absl::StrCat("Django's ", name);
    if (flask && name == "run") return "Flask's own";
    flask = flask || name == "flask";
    if (name == "gunicorn" || name == "uvicorn" || name == "hypercorn") server = std::string(name);
    reloads = reloads || word == "--reload";
  }
  return !server.empty() && reloads ? absl::StrCat(server, " --reload") : "";
}

// The servers' own code, by the end of its file's name.
struct ServerFile {
  absl::string_view file, server;
};
constexpr ServerFile kServerFiles[] = {
    {"django/core/servers/basehttp.py", "Django's runserver"},
    {"werkzeug/serving.py", "werkzeug's own"},
    {"wsgiref/simple_server.py", "wsgiref's own"},
};

struct ServersFound {
  std::set<std::string> servers;
  std::vector<std::string> ids;
  const ProcessSummary* first =
      nullptr;  // the one with the most threads; none where only a stack told
};

ServersFound FindServers(const model::Report& report) {
  ServersFound found;
  for (const ProcessSummary& process : report.processes) {
    const std::string server = DevelopmentServerOf(process.recording.identity.command);
    if (server.empty()) continue;
    found.servers.insert(server);
    found.ids.push_back(process.recording.id.ToHex());
    if (found.first == nullptr ||
        process.recording.threads_seen > found.first->recording.threads_seen)
      found.first = &process;
  }
  if (!found.servers.empty()) return found;
  for (const Frame& frame : report.profile.frames) {
    if (!frame.IsOfPython()) continue;
    for (const ServerFile& known : kServerFiles) {
      if (absl::EndsWith(frame.file, absl::StrCat("/", known.file)))
        found.servers.insert(std::string(known.server));
    }
  }
  // Django's stands on the standard library's, which is then not the server.
  if (found.servers.contains("Django's runserver")) found.servers = {"Django's runserver"};
  return found;
}

std::optional<Finding> DevelopmentServer(const model::Report& report) {
  const ServersFound found = FindServers(report);
  if (found.servers.empty()) return std::nullopt;
  Finding finding;
  finding.rule = "development_server";
  finding.severity = Severity::kWarning;
  const std::string servers = absl::StrJoin(found.servers, ", ");
  finding.text = absl::StrCat("a development server answers the requests: ", servers);
  finding.evidence = {{"server", servers}};
  if (found.first != nullptr) {
    const model::Recording& recording = found.first->recording;
    absl::StrAppend(&finding.text, " (", found.first->name, " ", recording.pid);
    if (recording.threads_seen != 0)
      absl::StrAppend(&finding.text, ", ", recording.threads_seen,
                      " threads that allocated so far");
    absl::StrAppend(&finding.text, ")");
    finding.evidence.emplace_back("pid", uint64_t{recording.pid});
    finding.evidence.emplace_back("threads_seen", uint64_t{recording.threads_seen});
    finding.evidence.emplace_back("threads_at_most", uint64_t{recording.threads_at_most});
    finding.evidence.emplace_back("ids", found.ids);
  }
  absl::StrAppend(&finding.text,
                  "; such a server takes each request in a thread of its own, as many at once as "
                  "come, so what requests hold adds up and malloc keeps an arena for each thread, "
                  "or watches every file; serve with a fixed number of workers (gunicorn "
                  "--workers 2 --max-requests 1000, uvicorn without --reload)");
  return finding;
}

bool IsDebugCursor(const Frame& frame) {
  return frame.IsOfPython() && absl::EndsWith(frame.file, "/django/db/backends/utils.py") &&
         absl::StartsWith(frame.function, "CursorDebugWrapper.");
}

std::optional<Finding> DjangoDebug(const model::Report& report) {
  const model::Profile& profile = report.profile;
  const bool seen = std::any_of(profile.frames.begin(), profile.frames.end(), IsDebugCursor);
  if (!seen) return std::nullopt;
  // What is kept is what debug_sql put aside; the rest of the wrapper's callees are queries as
  // such.
  model::Estimate kept;
  for (const model::Sample& sample : profile.samples) {
    for (const model::FrameId id : sample.frames) {
      const Frame& frame = profile.frames[id.value];
      if (!IsDebugCursor(frame) || frame.function != "CursorDebugWrapper.debug_sql") continue;
      kept += sample.estimate;
      break;
    }
  }
  Finding finding;
  finding.rule = "django_debug";
  finding.severity = Severity::kWarning;
  finding.text =
      "Django runs with DEBUG=True: each database connection keeps the text of its last 9,000 "
      "queries, of "
      "a thread or a command without requests for ever";
  if (profile.value == model::Value::kLive) {
    absl::StrAppend(&finding.text,
                    absl::StrFormat("; %.1f ± %.1f MiB of that are live", kept.bytes / (1 << 20),
                                    std::sqrt(kept.bytes_variance) / (1 << 20)));
    finding.evidence = {{"live_bytes", kept.bytes},
                        {"live_bytes_error", std::sqrt(kept.bytes_variance)}};
  }
  absl::StrAppend(&finding.text,
                  "; set DEBUG = False where it serves, or call django.db.reset_queries()");
  return finding;
}

struct AllocatorInside {
  absl::string_view in_module, library, allocator;
};
constexpr AllocatorInside kAllocatorsInside[] = {
    {"polars", "polars", "a jemalloc"},
    {"duckdb", "duckdb", "a jemalloc"},
};

std::vector<Finding> AllocatorsInside(const model::Report& report) {
  std::vector<Finding> findings;
  for (const AllocatorInside& known : kAllocatorsInside) {
    std::set<std::string> modules;
    for (const Frame& frame : report.profile.frames) {
      if (frame.kind == Frame::Kind::kNative && absl::StrContains(frame.module, known.in_module))
        modules.insert(frame.module);
    }
    if (modules.empty()) continue;
    Finding finding;
    finding.rule = "allocator_inside";
    finding.severity = Severity::kNotice;
    finding.text = absl::StrCat(
        known.library, " allocates with ", known.allocator, " of its own that is linked into ",
        absl::StrJoin(modules, ", "),
        ": its blocks cannot be told apart here, only what that allocator maps (domain mmap), and "
        "what it keeps after a free looks held");
    finding.evidence = {{"library", std::string(known.library)},
                        {"modules", std::vector<std::string>(modules.begin(), modules.end())}};
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace

std::vector<Finding> FindProgramFindings(const model::Report& report) {
  std::vector<Finding> findings;
  if (auto found = DevelopmentServer(report)) findings.push_back(*std::move(found));
  if (auto found = DjangoDebug(report)) findings.push_back(*std::move(found));
  for (Finding& finding : AllocatorsInside(report)) findings.push_back(std::move(finding));
  return findings;
}

}  // namespace heapecho::aggregator

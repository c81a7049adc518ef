// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/thread_findings.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace heapecho::aggregator {
namespace {

using model::Finding;
using model::ProcessSummary;

// Fewer are what a service starts with and pools that are made now and then.
constexpr uint64_t kManyThreads = 100;
constexpr uint64_t kManyAtOnce = 200;

bool MakesAThreadForEachRequest(const model::Recording& recording) {
  return recording.threads_seen >= kManyThreads &&
         recording.threads_seen >= uint64_t{10} * recording.threads_at_most;
}

bool KeepsItsThreads(const model::Recording& recording) {
  return recording.threads_at_most >= kManyAtOnce &&
         uint64_t{10} * recording.threads_at_most >= uint64_t{9} * recording.threads_seen;
}

void Add(const std::vector<ProcessSummary>& processes, bool (*holds)(const model::Recording&),
         absl::string_view rule, absl::string_view what, absl::string_view why,
         std::vector<Finding>* findings) {
  const ProcessSummary* worst = nullptr;
  std::vector<std::string> ids;
  for (const ProcessSummary& process : processes) {
    if (process.recording.threads_at_most == 0 || !holds(process.recording)) continue;
    ids.push_back(process.recording.id.ToHex());
    if (worst == nullptr || process.recording.threads_seen > worst->recording.threads_seen)
      worst = &process;
  }
  if (worst == nullptr) return;
  const model::Recording& recording = worst->recording;
  Finding finding;
  finding.rule = std::string(rule);
  finding.severity = model::Severity::kWarning;
  finding.text = absl::StrCat(what, ": ", worst->name, " ", recording.pid, " had ",
                              recording.threads_seen, " threads that allocated, at most ",
                              recording.threads_at_most, " of all its threads at once");
  if (ids.size() > 1)
    absl::StrAppend(&finding.text, " (and ", ids.size() - 1, " more ",
                    ids.size() == 2 ? "process" : "processes", " alike)");
  absl::StrAppend(&finding.text, "; ", why);
  finding.evidence = {{"pid", uint64_t{recording.pid}},
                      {"threads_seen", uint64_t{recording.threads_seen}},
                      {"threads_at_most", uint64_t{recording.threads_at_most}},
                      {"ids", std::move(ids)}};
  findings->push_back(std::move(finding));
}

}  // namespace

std::vector<Finding> FindThreadFindings(const std::vector<ProcessSummary>& processes) {
  std::vector<Finding> findings;
  Add(processes, MakesAThreadForEachRequest, "thread_per_request", "a thread for each request",
      "so do Django's runserver and other servers that are not made for production, and pools that "
      "are made anew each time; what a thread keeps lives as long as the thread, and malloc may "
      "keep an arena for each that runs at once (MALLOC_ARENA_MAX); `--by thread` says what they "
      "do",
      &findings);
  Add(processes, KeepsItsThreads, "threads_stay", "threads that do not end",
      "each has a stack, and whatever it holds stays; `--by thread` says what they do", &findings);
  return findings;
}

}  // namespace heapecho::aggregator

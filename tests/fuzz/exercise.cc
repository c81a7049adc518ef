// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/exercise.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/aggregator/aggregator.h"
#include "analyzer/aggregator/timeline.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"
#include "analyzer/output/dump.h"
#include "analyzer/output/flamegraph.h"
#include "analyzer/output/folded.h"
#include "analyzer/output/report.h"
#include "analyzer/output/timeline.h"
#include "analyzer/reader/reader.h"
#include "analyzer/symbolizer/python_lines.h"

namespace heapecho::testing {
namespace {

constexpr char kName[] = "exercise.heapecho";

// Names by address alone: damaged paths must not make a test look at files of this machine.
std::vector<std::vector<model::Frame>> NameByAddress(const model::Module& module,
                                                     absl::Span<const uint64_t> addresses) {
  std::vector<std::vector<model::Frame>> names;
  for (const uint64_t address : addresses) {
    model::Frame frame;
    frame.function = absl::StrFormat("0x%x", address);
    frame.module = module.path;
    names.push_back({frame});
  }
  return names;
}

std::string CheckError(const absl::Status& status) {
  const absl::string_view message = status.message();
  if (!absl::StartsWith(message, absl::StrCat(kName, ": "))) {
    return absl::StrCat("the error does not name the file: ", message);
  }
  if (absl::StrContains(message, "\n")) return absl::StrCat("the error is not one line: ", message);
  return "";
}

// The dump is all that the model holds; the file's size alone makes no other recording.
size_t Fingerprint(model::Recording& recording) {
  const uint64_t file_bytes = std::exchange(recording.file_bytes, 0);
  const uint64_t disk_bytes = std::exchange(recording.disk_bytes, 0);
  std::vector<std::string> warnings = std::exchange(recording.warnings, {});
  const size_t hash = std::hash<std::string>()(output::Dump(recording));
  recording.file_bytes = file_bytes;
  recording.disk_bytes = disk_bytes;
  recording.warnings = std::move(warnings);
  return hash;
}

void WriteOutputs(const model::Recording& recording) {
  for (const model::Value value :
       {model::Value::kLive, model::Value::kAllocated, model::Value::kPeak, model::Value::kGrown,
        model::Value::kLast}) {
    aggregator::Options options;
    options.value = value;
    if (value == model::Value::kGrown) options.since = *aggregator::ParseMoment("1s");
    if (value == model::Value::kLive) options.by = aggregator::By::kThread;
    if (value == model::Value::kAllocated) options.by = aggregator::By::kView;
    if (value == model::Value::kPeak) {
      options.native = aggregator::Native::kLeaf;
      options.internals = true;
    }
    aggregator::Aggregator aggregator(options);
    aggregator.Add(recording, model::ProcessState::kUnknown);
    const model::Report report = aggregator.Finish(NameByAddress, symbolizer::PythonLines);
    for (const model::Unit unit : {model::Unit::kBytes, model::Unit::kObjects}) {
      output::Folded(report.profile, {.unit = unit});
    }
    output::FlamegraphSvg(report.profile, {});
    output::FlamegraphHtml(report.profile, {});
    output::ReportText(report);
    output::ReportJson(report);
  }
  for (const char* moment : {"0s", "250m", "00:00:01", "2025-01-01 00:00:01.3"}) {
    aggregator::Options options;
    options.at = *aggregator::ParseMoment(moment);
    options.at_text = moment;
    aggregator::Aggregator aggregator(options);
    aggregator.Add(recording, model::ProcessState::kUnknown);
    output::ReportText(aggregator.Finish(NameByAddress, symbolizer::PythonLines));
  }
  aggregator::TimelineBuilder builder(8, {});
  builder.Add(recording, model::ProcessState::kUnknown);
  const model::Timeline timeline = builder.Finish(NameByAddress, symbolizer::PythonLines);
  output::TimelineText(timeline);
  output::TimelineCsv(timeline);
  output::TimelineHtml(timeline);
}

}  // namespace

std::string Exerciser::Run(absl::Span<const uint8_t> bytes) { return Run(bytes, true); }

std::string Exerciser::RunReader(absl::Span<const uint8_t> bytes) { return Run(bytes, false); }

std::string Exerciser::Run(absl::Span<const uint8_t> bytes, bool with_outputs) {
  absl::StatusOr<model::Recording> recording = reader::ParseRecording(bytes, kName);
  if (!recording.ok()) {
    ++errors_;
    return CheckError(recording.status());
  }
  ++recordings_;
  std::string wrong = recording->CheckValid();
  if (!wrong.empty()) return absl::StrCat("the recording is not valid: ", wrong);
  if (with_outputs && seen_.insert(Fingerprint(*recording)).second) WriteOutputs(*recording);
  return "";
}

}  // namespace heapecho::testing

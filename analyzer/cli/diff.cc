// SPDX-License-Identifier: Apache-2.0
// heapecho diff: what changed between two runs.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "analyzer/cli/command.h"
#include "analyzer/cli/comparison.h"
#include "analyzer/cli/console.h"
#include "analyzer/output/difference.h"
#include "analyzer/output/flamegraph.h"

namespace heapecho::cli {
namespace {

// Which of the outputs is wanted: "text", "json", "folded", "html" or "svg".
absl::StatusOr<std::string> OutputOf(const Arguments& arguments) {
  std::vector<std::string> wanted;
  if (arguments.Has("--json")) wanted.push_back("json");
  if (arguments.Has("--format")) {
    if (arguments.Get("--format") != "folded") {
      return absl::InvalidArgumentError(
          absl::StrCat("--format ", arguments.Get("--format"), ": must be one of folded"));
    }
    wanted.push_back("folded");
  }
  if (arguments.Has("--html")) {
    const std::string file = arguments.Get("--html");
    const bool is_svg = absl::EndsWithIgnoreCase(file, ".svg");
    if (!is_svg && !absl::EndsWithIgnoreCase(file, ".html")) {
      return absl::InvalidArgumentError(
          absl::StrCat("--html ", file, ": name a FILE.html or a FILE.svg"));
    }
    wanted.push_back(is_svg ? "svg" : "html");
  }
  if (wanted.size() > 1) {
    return absl::InvalidArgumentError("--json, --html and --format: give one of them");
  }
  return wanted.empty() ? "text" : wanted.front();
}

std::string Draw(const model::Difference& difference, bool lines, bool svg) {
  output::FlamegraphOptions options;
  options.unit = difference.unit;
  options.lines = lines;
  options.scope =
      absl::StrCat("before: ", difference.before.scope, "; after: ", difference.after.scope);
  return svg ? output::FlamegraphSvg(difference.profile, options)
             : output::FlamegraphHtml(difference.profile, options);
}

int Diff(const Arguments& arguments) {
  const absl::StatusOr<ComparisonRequest> request = ParseComparisonRequest(arguments);
  if (!request.ok()) return Fail(kBadInput, absl::StrCat("diff: ", request.status().message()));
  const absl::StatusOr<std::string> form = OutputOf(arguments);
  if (!form.ok()) return Fail(kBadInput, absl::StrCat("diff: ", form.status().message()));
  output::DifferenceOptions options;
  if (arguments.Has("--top") &&
      (!absl::SimpleAtoi(arguments.Get("--top"), &options.top) || options.top == 0)) {
    return Fail(kBadInput,
                absl::StrCat("--top ", arguments.Get("--top"), ": must be a number above 0"));
  }
  const absl::StatusOr<model::Difference> difference = LoadDifference(*request);
  if (!difference.ok()) return FailWith(difference.status());
  if (difference->profile.samples.empty()) return FailWith(NothingToShow(request->after));
  const bool lines = request->after.lines;
  std::string path = arguments.Get("-o");
  std::string text;
  if (*form == "json") {
    text = arguments.Has("--top") ? output::DifferenceJson(*difference, options.top)
                                  : output::DifferenceJson(*difference);
  } else if (*form == "folded") {
    text = output::DifferenceFolded(*difference, lines);
  } else if (*form == "text") {
    text = output::DifferenceText(*difference, options);
  } else {
    text = Draw(*difference, lines, *form == "svg");
    path = arguments.Get("--html");
  }
  const absl::Status status = WriteOutput(path, text);
  return status.ok() ? static_cast<int>(kDone) : Fail(kBadInput, status.message());
}

}  // namespace

Command DiffCommand() {
  return {"diff",
          "BEFORE AFTER [--json | --html FILE | --format folded]",
          "what changed between two runs, and how sure that is",
          WithComparisonOptions(
              {{"--top", "N", "how many functions are shown; default 10, in JSON all"},
               {"--json", "", "for programs, schema 1"},
               {"--html", "FILE", "a flame graph, red what grew and blue what shrank; or FILE.svg"},
               {"--format", "folded", "one line a stack: root;...;leaf before after"},
               {"-o", "FILE", "write there instead of to standard output"}}),
          Operands::kFiles,
          Diff};
}

}  // namespace heapecho::cli

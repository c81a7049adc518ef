// SPDX-License-Identifier: Apache-2.0
// What may be asked of the aggregator, from the words of the command line.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "analyzer/aggregator/aggregator.h"

namespace heapecho::aggregator {
namespace {

absl::Status AddNumber(absl::string_view key, absl::string_view value,
                       std::vector<uint32_t>* numbers) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number))
    return absl::InvalidArgumentError(
        absl::StrCat(key, "=", value, ": \"", value, "\" is no number"));
  numbers->push_back(number);
  return absl::OkStatus();
}

absl::Status AddDomain(absl::string_view value, std::vector<model::Domain>* domains) {
  using model::Domain;
  for (const Domain domain : {Domain::kMalloc, Domain::kPython, Domain::kArrow, Domain::kMmap}) {
    if (value != model::DomainName(domain)) continue;
    domains->push_back(domain);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("domain=", value, ": no such domain (malloc, python, arrow, mmap)"));
}

}  // namespace

const char* ByName(By by) {
  switch (by) {
    case By::kProcess:
      return "process";
    case By::kThread:
      return "thread";
    case By::kDomain:
      return "domain";
    case By::kView:
      return "view";
    case By::kNone:
      break;
  }
  return "";
}

absl::StatusOr<By> ParseBy(absl::string_view text) {
  for (const By by : {By::kNone, By::kProcess, By::kThread, By::kDomain, By::kView})
    if (text == ByName(by)) return by;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is none of process, thread, domain, view"));
}

absl::StatusOr<Where> ParseWhere(absl::string_view text) {
  Where where;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const auto& [key, value] = pair;
    absl::Status status;
    if (key == "pid") {
      status = AddNumber(key, value, &where.pids);
    } else if (key == "thread") {
      status = AddNumber(key, value, &where.threads);
    } else if (key == "domain") {
      status = AddDomain(value, &where.domains);
    } else if (key == "host" && !value.empty()) {
      where.hosts.emplace_back(value);
    } else {
      status = absl::InvalidArgumentError(
          absl::StrCat("\"", part, "\" is none of pid=N, host=NAME, domain=NAME, thread=N"));
    }
    if (!status.ok()) return status;
  }
  return where;
}

bool ByThread(const Options& options) {
  return options.by == By::kThread || !options.where.threads.empty();
}

bool NeedsEvents(const Options& options) {
  return options.at.has_value() || (options.value == model::Value::kAllocated && ByThread(options));
}

absl::Status Check(const Options& options) {
  if (ByThread(options) && options.value == model::Value::kPeak) {
    return absl::InvalidArgumentError(
        "the peak is not recorded by thread: ask for live, or leave the thread out");
  }
  const bool grown = options.value == model::Value::kGrown || options.value == model::Value::kLast;
  if (ByThread(options) && grown) {
    return absl::InvalidArgumentError(
        "what went is not recorded by thread: ask for live, or leave the thread out");
  }
  if (options.at.has_value() && options.value != model::Value::kLive) {
    return absl::InvalidArgumentError("an earlier moment is known of what is live alone");
  }
  if (options.since.has_value() && options.value != model::Value::kGrown) {
    return absl::InvalidArgumentError("since when is asked of what has grown alone");
  }
  return absl::OkStatus();
}

}  // namespace heapecho::aggregator

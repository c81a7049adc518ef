// SPDX-License-Identifier: Apache-2.0
#include "analyzer/output/end_text.h"

#include "absl/strings/str_cat.h"
#include "analyzer/model/signals.h"

namespace heapecho::output {

std::string KindOfEnd(const model::End& end) {
  if (end.oom_kill == model::OomKill::kYes) return "OOM-killed";
  if (end.oom_kill == model::OomKill::kLikely) return "probably OOM-killed";
  return model::ProcessStateName(end.state);
}

std::string EndText(const model::End& end) {
  std::string text = KindOfEnd(end);
  if (end.oom_kill == model::OomKill::kNo) {
    if (end.state == model::ProcessState::kExited && end.exit_status >= 0)
      absl::StrAppend(&text, " ", end.exit_status);
    if (end.state == model::ProcessState::kKilled && end.signal != 0)
      absl::StrAppend(&text, " ", model::SignalName(end.signal));
  }
  if (end.timed_out) absl::StrAppend(&text, " (time-out)");
  return text;
}

}  // namespace heapecho::output

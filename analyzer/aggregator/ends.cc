// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/ends.h"

#include <signal.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/aggregator/aggregator.h"
#include "analyzer/model/signals.h"

namespace heapecho::aggregator {
namespace {

using model::ChildEnd;
using model::End;
using model::OomKill;
using model::ProcessState;
using model::ProcessSummary;
using model::Recording;
using model::SentSignal;
using model::SignalName;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kMostUnseen = 60 * kSecond;
constexpr uint64_t kTicksASecond = 100;  // as /proc/PID/stat counts
constexpr double kNearLimit = 0.95;

// Where pids mean the same.
using Place = std::tuple<model::RecordingId, uint32_t>;
Place PlaceOf(const Recording& recording) { return {recording.boot_id, recording.pid_namespace}; }

std::string Amount(uint64_t bytes) {
  constexpr double kGiB = 1 << 30, kMiB = 1 << 20;
  const auto amount = static_cast<double>(bytes);
  return amount >= kGiB ? absl::StrFormat("%.2f GiB", amount / kGiB)
                        : absl::StrFormat("%.0f MiB", amount / kMiB);
}

uint64_t Distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

bool IsNearLimit(const Recording& recording) {
  return recording.cgroup_limit != 0 &&
         static_cast<double>(recording.cgroup_current) >=
             kNearLimit * static_cast<double>(recording.cgroup_limit);
}

// What one process noted about another one.
template <typename Note>
struct Told {
  const Recording* by;
  const Note* note;
};

class Joiner {
 public:
  Joiner(absl::Span<const Recording> bystanders, std::vector<ProcessSummary>* processes)
      : processes_(*processes) {
    for (size_t i = 0; i < processes_.size(); ++i) {
      const Recording& recording = processes_[i].recording;
      witnesses_.push_back(&recording);
      by_pid_[{PlaceOf(recording), recording.pid}].push_back(i);
      by_parent_[recording.parent_id].push_back(i);
    }
    for (const Recording& recording : bystanders) witnesses_.push_back(&recording);
    for (auto& [key, indices] : by_pid_)
      std::stable_sort(indices.begin(), indices.end(),
                       [&](size_t a, size_t b) { return Began(a) < Began(b); });
    reaped_.resize(processes_.size());
    signals_.resize(processes_.size());
  }

  void Join() {
    for (const Recording* witness : witnesses_) {
      for (const ChildEnd& end : witness->child_ends) TakeEnd(*witness, end);
      for (const SentSignal& signal : witness->sent_signals) TakeSignal(*witness, signal);
    }
    for (size_t i = 0; i < processes_.size(); ++i) Decide(i);
    for (const Recording* witness : witnesses_) ShareOomKills(*witness);
    for (size_t i = 0; i < processes_.size(); ++i) GuessOomKill(i);
  }

 private:
  std::pair<uint64_t, uint64_t> Began(size_t i) const {
    const Recording& recording = processes_[i].recording;
    return {recording.start_ticks, recording.begin_ns};  // an exec keeps the first
  }

  // The process that `witness` knew as `pid` at `time_ns`. `start_ticks`: when it began, or where
  // that is not `exact` not before; 0: unknown.
  std::optional<size_t> Find(const Recording& witness, int64_t pid, uint64_t time_ns,
                             uint64_t start_ticks, bool exact) const {
    std::optional<size_t> found;
    const auto it = by_pid_.find({PlaceOf(witness), static_cast<uint32_t>(pid)});
    if (pid <= 0 || it == by_pid_.end()) return found;
    for (const size_t i : it->second) {
      const Recording& recording = processes_[i].recording;
      if (recording.process_start_ns > time_ns || recording.start_ticks < start_ticks) continue;
      if (exact && start_ticks != 0 && recording.start_ticks != start_ticks) continue;
      found = i;  // the latest
    }
    return found;
  }

  // A child that is first in a pid namespace of its own: it knows itself by another pid.
  std::optional<size_t> FindInOtherNamespace(const Recording& witness, const ChildEnd& end) const {
    const auto it = by_parent_.find(witness.id);
    if (end.start_ticks == 0 || witness.id.IsZero() || it == by_parent_.end()) return std::nullopt;
    std::optional<size_t> found;
    for (const size_t i : it->second) {
      const Recording& recording = processes_[i].recording;
      if (recording.pid_namespace == witness.pid_namespace ||
          recording.start_ticks < end.start_ticks ||
          recording.start_ticks > end.start_ticks + kTicksASecond) {
        continue;
      }
      if (!found || recording.start_ticks < processes_[*found].recording.start_ticks) found = i;
    }
    return found;
  }

  void TakeEnd(const Recording& witness, const ChildEnd& end) {
    std::optional<size_t> child = Find(witness, end.pid, end.time_ns, end.start_ticks, false);
    if (!child) child = FindInOtherNamespace(witness, end);
    if (!child || &processes_[*child].recording == &witness) return;
    const auto& known = reaped_[*child];
    if (!known || known->note->time_ns < end.time_ns) reaped_[*child] = {&witness, &end};
    process_of_[&end] = *child;
  }

  void TakeSignal(const Recording& witness, const SentSignal& signal) {
    if (signal.failed) return;
    if (signal.pid > 0) {
      const auto target = Find(witness, signal.pid, signal.time_ns, signal.start_ticks, true);
      if (target) signals_[*target].push_back({&witness, &signal});
      return;
    }
    // Groups are not recorded: it may have meant the sender's children, and those of a group by
    // their leader.
    for (const auto& [key, indices] : by_pid_) {
      if (key.first != PlaceOf(witness)) continue;
      for (const size_t i : indices) {
        const Recording& recording = processes_[i].recording;
        const bool leader = recording.pid == static_cast<uint32_t>(-int64_t{signal.pid});
        if ((leader || recording.ppid == witness.pid) &&
            recording.process_start_ns <= signal.time_ns) {
          signals_[i].push_back({&witness, &signal});
        }
      }
    }
  }

  // The last of the signals that may have ended the process, if it died of `signal` (0: of any that
  // was sent).
  std::optional<Told<SentSignal>> SenderOf(size_t i, int signal) const {
    std::optional<Told<SentSignal>> found;
    for (const Told<SentSignal>& told : signals_[i]) {
      if (signal != 0 && told.note->signal != signal) continue;
      if (!found || found->note->time_ns <= told.note->time_ns) found = told;
    }
    return found;
  }

  bool IsParent(const Recording& witness, size_t i) const {
    const Recording& child = processes_[i].recording;
    if (witness.id == child.parent_id && !witness.id.IsZero()) return true;
    return PlaceOf(witness) == PlaceOf(child) && witness.pid == child.ppid;
  }

  // "its parent gunicorn 345"
  std::string Who(const Recording& witness, size_t i) const {
    return absl::StrCat(IsParent(witness, i)                   ? "its parent "
                        : &witness == &processes_[i].recording ? "itself, "
                                                               : "",
                        ProcessName(witness.identity), " ", witness.pid);
  }

  void Decide(size_t i) {
    ProcessSummary& process = processes_[i];
    const Recording& recording = process.recording;
    End& end = process.end;
    end.peak_rss = recording.peak_rss;
    end.memory_limit =
        recording.cgroup_limit != 0 ? recording.cgroup_limit : recording.identity.cgroup_limit;
    end.time_ns = std::max({recording.begin_ns, recording.last_event_ns, recording.process_end_ns});
    if (end.state == ProcessState::kExited && recording.exit_status >= 0)
      end.exit_status = recording.exit_status;
    if (const auto& told = reaped_[i]; told && end.state != ProcessState::kExec) {
      const ChildEnd& word = *told->note;
      end.time_ns = word.time_ns;
      end.peak_rss = std::max(end.peak_rss, word.max_rss);
      end.signal = word.signal;
      end.exit_status = word.exit_status;
      end.state = word.signal != 0 ? ProcessState::kKilled : ProcessState::kExited;
      if (word.signal != 0)
        end.evidence = absl::StrCat(Who(*told->by, i), " was told of ", SignalName(word.signal));
    } else if (end.state == ProcessState::kKilled || end.state == ProcessState::kUnknown) {
      // Nobody waited, or nobody who recorded: SIGKILL is certain to have ended it, if somebody
      // sent it.
      if (const auto sender = SenderOf(i, SIGKILL)) {
        end.state = ProcessState::kKilled;
        end.signal = SIGKILL;
        end.time_ns = std::max(end.time_ns, sender->note->time_ns);  // it may have been idle
      }
    }
    if (end.state == ProcessState::kKilled || end.state == ProcessState::kExited) TakeSender(i);
  }

  void TakeSender(size_t i) {
    End& end = processes_[i].end;
    bool asked = false;
    std::optional<Told<SentSignal>> ended;
    for (const Told<SentSignal>& told : signals_[i]) {
      const int signal = told.note->signal;
      if (!IsParent(*told.by, i)) continue;
      if (signal == SIGABRT || signal == SIGKILL) {
        if (!asked) ended = told;
      } else {
        asked = true;
      }
    }
    end.timed_out = ended.has_value();
    const auto sender = end.timed_out ? ended : SenderOf(i, end.signal);
    if (end.signal == 0 && !end.timed_out) return;
    if (!sender) return;
    end.evidence = absl::StrCat(Who(*sender->by, i), " sent ", SignalName(sender->note->signal));
    if (end.timed_out)
      absl::StrAppend(&end.evidence, " without having asked it to stop: a time-out");
  }

  bool DiedOfSigkill(size_t i) const {
    const End& end = processes_[i].end;
    return end.state == ProcessState::kKilled && (end.signal == SIGKILL || end.signal == 0);
  }

  // Whether `end`'s counts are those of the control group that the process was in.
  bool CountsApply(const ChildEnd& end, const Recording& witness, const Recording& child) const {
    if (!end.oom_kills_before || !end.oom_kills_after) return false;
    const bool other_limit = end.cgroup_limit != child.cgroup_limit && child.cgroup_limit != 0;
    const bool other_group = !witness.identity.cgroup.empty() && !child.identity.cgroup.empty() &&
                             witness.identity.cgroup != child.identity.cgroup;
    return !other_limit && !other_group;
  }

  // Each rise of the count that `witness` saw explains as many of the SIGKILLs that it was told of
  // at once, those of known senders left out. Where others died in that second too, nobody knows
  // which it was.
  void ShareOomKills(const Recording& witness) {
    struct Kill {
      size_t process;
      uint64_t time_ns;
      bool counted;
    };
    std::vector<Kill> kills;
    uint64_t left = 0, rose_ns = 0;
    for (const ChildEnd& end : witness.child_ends) {
      if (end.signal == 0) continue;
      if (end.time_ns - rose_ns > kSecond) left = 0;
      if (end.oom_kills_before && end.oom_kills_after &&
          *end.oom_kills_after > *end.oom_kills_before) {
        left += *end.oom_kills_after - *end.oom_kills_before;
        rose_ns = end.time_ns;
      }
      if (end.signal != SIGKILL) continue;
      const auto known = process_of_.find(&end);
      const bool here = known != process_of_.end();
      if (here && (SenderOf(known->second, SIGKILL) ||
                   !CountsApply(end, witness, processes_[known->second].recording))) {
        continue;
      }
      const bool counted = left > 0;
      if (counted) --left;
      if (here) kills.push_back({known->second, end.time_ns, counted});
    }
    for (const Kill& kill : kills) {
      const bool contested = std::any_of(kills.begin(), kills.end(), [&](const Kill& other) {
        return other.counted != kill.counted && Distance(other.time_ns, kill.time_ns) < kSecond;
      });
      End& end = processes_[kill.process].end;
      counted_.insert(kill.process);
      end.oom_kill = contested ? OomKill::kLikely : kill.counted ? OomKill::kYes : OomKill::kNo;
      absl::StrAppend(
          &end.evidence,
          contested ? "; its control group counted fewer OOM kills than were killed in that second"
          : kill.counted ? "; its control group's count of OOM kills rose"
                         : "; its control group counted no OOM kill");
    }
  }

  // Where no count says more: how full the control group was when the process, or one that fell
  // silent with it, was last looked at.
  void GuessOomKill(size_t i) {
    ProcessSummary& process = processes_[i];
    End& end = process.end;
    const Recording& recording = process.recording;
    const bool silent = DiedOfSigkill(i) || (end.state == ProcessState::kUnknown && !reaped_[i]);
    if (!silent || counted_.contains(i) || SenderOf(i, SIGKILL)) return;
    const Recording* full = IsNearLimit(recording) ? &recording : nullptr;
    for (size_t j = 0; full == nullptr && j < processes_.size(); ++j) {
      const Recording& other = processes_[j].recording;
      const uint64_t here = end.time_ns, there = processes_[j].end.time_ns;
      // Of a file that is written at times the last ones are missing.
      const uint64_t unseen = recording.write_pause_ns + processes_[j].recording.write_pause_ns;
      const bool together = Distance(here, there) <= kSecond + std::min(unseen, kMostUnseen);
      // A master has nothing to say for hours; its children's silence is its own.
      const bool its_child = IsParent(recording, j) && there >= here;
      if (j != i && IsNearLimit(other) && PlaceOf(other) == PlaceOf(recording) &&
          other.identity.container == recording.identity.container &&
          processes_[j].recording.process_end == model::ProcessEnd::kRunning &&
          processes_[j].end.state != ProcessState::kRunning && (together || its_child)) {
        full = &other;
      }
    }
    if (full == nullptr) return;
    end.oom_kill = OomKill::kLikely;
    absl::StrAppend(&end.evidence, end.evidence.empty() ? "" : "; ",
                    full == &recording
                        ? "its control group"
                        : absl::StrCat(full->pid, " fell silent with it, and the control group"),
                    " held ", Amount(full->cgroup_current), " of ", Amount(full->cgroup_limit),
                    " when it was last looked at");
  }

  std::vector<ProcessSummary>& processes_;
  std::vector<const Recording*> witnesses_;
  std::map<std::pair<Place, uint32_t>, std::vector<size_t>> by_pid_;
  std::map<model::RecordingId, std::vector<size_t>> by_parent_;
  std::map<const ChildEnd*, size_t> process_of_;
  std::set<size_t> counted_;  // processes of whom a parent's count says all
  std::vector<std::optional<Told<ChildEnd>>> reaped_;
  std::vector<std::vector<Told<SentSignal>>> signals_;
};

}  // namespace

void JoinEnds(absl::Span<const Recording> bystanders, std::vector<ProcessSummary>* processes) {
  Joiner(bystanders, processes).Join();
}

}  // namespace heapecho::aggregator

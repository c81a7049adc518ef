// SPDX-License-Identifier: Apache-2.0
// Recordings to one profile: weights first, then sums; merged over processes; standard errors kept.
//
//   live       the sum of the live blocks, entry by entry, so that the variances are exact
//   allocated  the stacks' totals since each process began
//   grown      what came since a moment of each process's life and is still there, against what
//              went of what was there (lookback.h); `last` since its last rise began
//   peak       the stacks' shares at each process's own high-water mark. The marks of several
//   processes
//              lie at different moments: the sum is what they could need together at worst.
//
// A forked process inherits what its parent had sampled, and each such block is counted once. Where
// the parent's recording is among those given, it is the parent's (of the peak: as far as it is
// still held); where it is not, it belongs to the first of the children that were added.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "analyzer/aggregator/lookback.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"

namespace heapecho::aggregator {

// Adds a root frame to each stack that says whose it is; of kView see view.h. Of kThread two, the
// process's and that of the threads that do the same work (threads.h).
enum class By : uint8_t { kNone, kProcess, kThread, kDomain, kView };
// "process", "thread", "domain", "view"; "": kNone
absl::StatusOr<By> ParseBy(absl::string_view text);

const char* ByName(By by);

// What to count: everything that agrees with each list that is not empty.
struct Where {
  std::vector<uint32_t> pids;
  std::vector<std::string> hosts;
  std::vector<model::Domain> domains;
  std::vector<uint32_t> threads;
};
// "pid=12,host=web-1,domain=malloc": several of one key are alternatives, different keys must all
// agree.
absl::StatusOr<Where> ParseWhere(absl::string_view text);

// Which native frames of a stack that has Python frames are shown: all, those inside of the
// innermost Python frame, or none. Stacks without Python frames stay as they are.
enum class Native : uint8_t { kFull, kLeaf, kNone };

struct Options {
  model::Value value = model::Value::kLive;
  model::Unit unit = model::Unit::kBytes;  // what sites are ranked by
  By by = By::kNone;
  Where where{};
  Native native = Native::kFull;
  // kLive: at which moment of each process's life. kGrown: since which; else its second half.
  std::optional<MomentSpec> at{}, since{};
  std::string at_text{};   // as it was asked for
  bool internals = false;  // show the interpreter's plumbing and import machinery (folding.h) too
};

// The threads of the peak are not recorded; those of what was allocated are known only for the
// recent past that the events still cover (then a warning says how much that is). OK, or why this
// cannot be answered.
absl::Status Check(const Options& options);

// Whether threads are told apart.
bool ByThread(const Options& options);
// Whether the recordings that are added must have their events; else totals and live blocks answer.
bool NeedsEvents(const Options& options);

// Names of the frames at addresses of one module: for each address at least one frame, innermost
// first (what symbolizer::Symbolizer::Symbolize returns).
using SymbolizeFn = absl::FunctionRef<std::vector<std::vector<model::Frame>>(
    const model::Module& module, absl::Span<const uint64_t> addresses)>;

// The line of each instruction of a code object (what symbolizer::PythonLines returns).
using PythonLinesFn = absl::FunctionRef<std::vector<uint32_t>(
    const model::PythonCode& code, absl::Span<const uint32_t> instructions)>;

// Add() each recording (in any order; parents need not come first), then Finish() once. Between the
// calls it keeps one merged tree of addresses and one total per distinct stack, not the recordings.
// Not thread-safe.
class Aggregator {
 public:
  explicit Aggregator(Options options);  // Check(options) must be OK
  ~Aggregator();
  Aggregator(const Aggregator&) = delete;
  Aggregator& operator=(const Aggregator&) = delete;

  // `recording` must be valid (Recording::CheckValid() is empty); move it in. One that was added
  // before (the same id) is left out with a warning.
  void Add(model::Recording recording, model::ProcessState state);

  // The merged profile, ranked. `progress` is called with the number of modules named so far and
  // their count. Warnings of the symbolizer are the caller's to append to report.profile.warnings.
  model::Report Finish(
      SymbolizeFn symbolize, PythonLinesFn python_lines,
      absl::FunctionRef<void(size_t done, size_t total)> progress = [](size_t, size_t) {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What a person calls the program: "gunicorn" for `/usr/bin/python3 /usr/local/bin/gunicorn
// app:wsgi`, "manage.py" for `python manage.py runserver`, the module for `python -m`; else the
// executable's file name; "process" when nothing is known.
std::string ProcessName(const model::Identity& identity);

}  // namespace heapecho::aggregator

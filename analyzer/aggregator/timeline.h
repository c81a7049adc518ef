// SPDX-License-Identifier: Apache-2.0
// The histories of many recordings to one timeline.
#pragma once

#include <cstddef>
#include <memory>

#include "absl/functional/function_ref.h"
#include "analyzer/aggregator/aggregator.h"
#include "analyzer/model/recording.h"
#include "analyzer/model/timeline.h"

namespace heapecho::aggregator {

// Add() each recording, in any order, then Finish() once. Keeps eight bytes for each stack that a
// point lists, not the recordings. Not thread-safe.
class TimelineBuilder {
 public:
  // `sites`: how many are told apart. Of `where` pids and hosts count.
  TimelineBuilder(size_t sites, Where where);
  ~TimelineBuilder();
  TimelineBuilder(const TimelineBuilder&) = delete;
  TimelineBuilder& operator=(const TimelineBuilder&) = delete;

  // `recording` must be valid.
  void Add(const model::Recording& recording, model::ProcessState state);

  model::Timeline Finish(
      SymbolizeFn symbolize, PythonLinesFn python_lines,
      absl::FunctionRef<void(size_t done, size_t total)> progress = [](size_t, size_t) {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
// Moments of a process's life: what was live at one, and what came and went since one.
//
// What was live at a moment is known block by block as far back as the events reach, and before
// that at the points of the history, for the stacks that they list. What came since a point are the
// live blocks that are younger, each with its own weight. What went is what the point says was live
// less what is older and still there; of a stack that the point does not list it is taken that it
// held as much as now, but no more than any unlisted one, so that a stack is never said to have
// grown by what may have been there before. Of the two only what changed has an error: blocks that
// stayed are the same samples at both moments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "analyzer/model/recording.h"

namespace heapecho::aggregator {

// A moment as a person names it: "2026-11-21 05:07:27" (or with a T, fractions of a second, a Z:
// UTC in any case), "05:07" or "05:07:27" (the last such time of day before the process was last
// seen), "90s", "10m", "2h", "3d" (so long before it was last seen).
struct MomentSpec {
  enum class Kind : uint8_t { kTime, kTimeOfDay, kBeforeEnd };
  Kind kind = Kind::kTime;
  absl::Time time;
  absl::Duration duration;  // of the day; before the end
};
absl::StatusOr<MomentSpec> ParseMoment(absl::string_view text);

// On the recording's monotonic clock; 0 where it lies before that. Clocks of the day may have been
// set meanwhile: the history's points say how they went.
uint64_t MonotonicOf(const model::Recording& recording, const MomentSpec& spec);
absl::Time TimeOf(const model::Recording& recording, uint64_t monotonic_ns);

// The process's last word or event, whichever is later.
uint64_t LastSeenNs(const model::Recording& recording);

// What was live at `at_ns`, or as near to it as the recording can say.
struct LiveMoment {
  enum class Source : uint8_t {
    kNothing,  // the process was not there, or nothing is known of that time
    kBlocks,   // `blocks`: each one that was live, exactly at `time_ns`
    kPoint,    // `point`: of the history
  };
  Source source = Source::kNothing;
  uint64_t time_ns = 0;
  std::vector<model::LiveBlock> blocks;
  const model::HistoryPoint* point = nullptr;  // into the recording
};
// `recording` must have its events.
LiveMoment LiveAt(const model::Recording& recording, uint64_t at_ns);

struct StackGrowth {
  model::Estimate came;     // and is still there
  model::Estimate went;     // of what was there
  double byte_seconds = 0;  // of what came: bytes times their age
  uint64_t oldest_ns = 0;   // of what came
  uint32_t samples = 0;     // of what came
};
struct Growth {
  uint64_t from_ns = 0, to_ns = 0;
  bool from_point = false;          // a point of the history says what was there; else nothing was
  std::vector<StackGrowth> stacks;  // by stack id
};
// From the point nearest to `from_ns` to the end; where there is none so near to it as the
// beginning, from there.
Growth GrowthSince(const model::Recording& recording, uint64_t from_ns);

// When the last rise of live bytes began: the last point at which they were within a tenth of the
// rise from their median over the life. 0: there was no rise, the end is less than a tenth above
// the median.
uint64_t LastPlateauNs(const model::Recording& recording);

// When the second half of the life begins: of what started a service nothing grows there.
uint64_t HalfLifeNs(const model::Recording& recording);

}  // namespace heapecho::aggregator

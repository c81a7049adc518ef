// SPDX-License-Identifier: Apache-2.0
// Two sets of recordings compared: what each function held before and after, and how sure the
// change is. Made by aggregator/difference.h, drawn by output/difference.h. Plain data.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "analyzer/model/profile.h"
#include "analyzer/model/report.h"

namespace heapecho::model {

enum class Change : uint8_t {
  kSame,  // what the errors allow to be chance
  kNew,   // nothing of it was sampled before
  kGone,  // nothing of it was sampled after
  kGrown,
  kShrunk,
};
inline const char* ChangeName(Change change) {  // as reports and the JSON spell it
  switch (change) {
    case Change::kNew:
      return "new";
    case Change::kGone:
      return "gone";
    case Change::kGrown:
      return "grown";
    case Change::kShrunk:
      return "shrunk";
    case Change::kSame:
      break;
  }
  return "same";
}

// After less before, in one unit. Both were sampled, each by itself: the variances add up.
struct Step {
  double amount = 0;
  double error = 0;   // one standard error
  double sigmas = 0;  // amount in standard errors, within ±kMostSigmas (all of it was recorded)
};
inline constexpr double kMostSigmas = 1000;

// A group of sites with its verdict.
struct ChangedGroup {
  SiteGroup group;
  Step step;
  Change change = Change::kSame;
};

// Groups of one kind. The bound rises with their number, so that the whole list names one that did
// not change with a probability of at most kChanceOfAFalseName; it is never below kFewestSigmas,
// since few samples are not normal.
struct ChangedGroups {
  std::vector<ChangedGroup> groups;  // the changed ones first, by amount; then the others
  size_t changed = 0;                // how many that are
  double sigmas = 0;                 // from here on a change counts
};
inline constexpr double kChanceOfAFalseName = 0.05;
inline constexpr double kFewestSigmas = 3;

struct Difference {
  struct Side {
    std::string scope;  // whose memory: one sentence
    std::vector<ProcessSummary> processes;
    double units = 1;  // requests, seconds or processes; 1 where nothing is normalised
  };
  Side before, after;
  std::string per;  // "requests", "seconds", "processes"; empty: nothing is normalised
  Unit unit = Unit::kBytes;
  bool lines = false;  // lines of one function are told apart
  Profile profile;     // compared; what is after has been multiplied by before.units / after.units
  Step step;           // of the total
  Change change = Change::kSame;  // of the total, from kFewestSigmas on
  ChangedGroups functions;        // as Report::groups
  ChangedGroups own;              // as Report::own
};

}  // namespace heapecho::model

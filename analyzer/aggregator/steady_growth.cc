// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/steady_growth.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "analyzer/aggregator/top_site.h"

namespace heapecho::aggregator {
namespace {

constexpr size_t kFewestLooks = 8;
constexpr uint64_t kShortestNs = 30'000'000'000;
constexpr double kSmallestRise = 4 << 20;
constexpr double kSmallestShare = 0.25;
constexpr double kFewestErrors = 4;
constexpr double kDropShare = 0.05, kDropErrors = 3;
constexpr double kThirdShare = 0.1;

struct Look {
  uint64_t time_ns;
  double bytes, variance;
};

std::optional<SteadyStack> Judge(const std::vector<Look>& looks) {
  if (looks.size() < kFewestLooks) return std::nullopt;
  const Look& first = looks.front();
  const Look& last = looks.back();
  const uint64_t span = last.time_ns - first.time_ns;
  const double rise = last.bytes - first.bytes;
  const double error = std::sqrt(std::max(last.variance - first.variance, 0.0));
  if (span < kShortestNs || rise < kSmallestRise || rise < kSmallestShare * first.bytes ||
      rise < kFewestErrors * error) {
    return std::nullopt;
  }
  double most = 0;
  for (const Look& look : looks) {
    if (look.bytes < most - kDropShare * rise - kDropErrors * std::sqrt(look.variance))
      return std::nullopt;
    most = std::max(most, look.bytes);
  }
  double before = first.bytes;
  for (int third = 1; third <= 3; ++third) {
    const uint64_t until = first.time_ns + span / 3 * static_cast<uint64_t>(third);
    double then = before;
    for (const Look& look : looks)
      if (look.time_ns <= until || third == 3) then = look.bytes;
    if (then - before < kThirdShare * rise) return std::nullopt;
    before = then;
  }
  return SteadyStack{.stack = {},
                     .from_ns = first.time_ns,
                     .to_ns = last.time_ns,
                     .before = first.bytes,
                     .after = last.bytes,
                     .error = error,
                     .looks = looks.size()};
}

}  // namespace

std::vector<SteadyStack> FindSteadyGrowth(const std::vector<model::HistoryPoint>& history,
                                          const std::vector<model::Stack>& stacks,
                                          const std::vector<model::PythonNode>& python_nodes,
                                          const std::vector<model::PythonCode>& python_code) {
  if (history.size() < kFewestLooks) return {};
  // Groups: one for each function, then one for each stack that has none.
  std::vector<uint32_t> group_of = OwnCodeOf(stacks, python_nodes, python_code);
  for (size_t i = 0; i < stacks.size(); ++i)
    if (group_of[i] == 0) group_of[i] = static_cast<uint32_t>(python_code.size() + i);
  const size_t groups = python_code.size() + stacks.size();
  std::vector<std::vector<Look>> looks(groups);
  std::vector<Look> sums(groups), held_last(stacks.size());
  std::vector<bool> changed(groups);
  for (const model::HistoryPoint& point : history) {
    std::vector<uint32_t> touched;
    for (const model::HistoryPoint::Held& held : point.stacks) {
      if (held.stack.value == 0 || held.stack.value >= stacks.size()) continue;
      const uint32_t group = group_of[held.stack.value];
      Look& last = held_last[held.stack.value];
      sums[group].bytes += held.bytes - last.bytes;
      sums[group].variance += held.bytes_variance - last.variance;
      last = {point.time_ns, held.bytes, held.bytes_variance};
      if (!changed[group]) touched.push_back(group);
      changed[group] = true;
    }
    for (const uint32_t group : touched) {
      looks[group].push_back(
          {point.time_ns, sums[group].bytes, std::max(sums[group].variance, 0.0)});
      changed[group] = false;
    }
  }
  std::vector<uint32_t> largest(groups, 0);
  for (uint32_t i = 1; i < stacks.size(); ++i) {
    uint32_t& best = largest[group_of[i]];
    if (best == 0 || held_last[i].bytes > held_last[best].bytes) best = i;
  }
  std::vector<SteadyStack> found;
  for (size_t group = 0; group < groups; ++group) {
    std::optional<SteadyStack> steady = Judge(looks[group]);
    if (!steady) continue;
    steady->stack = {largest[group]};
    found.push_back(*steady);
  }
  std::stable_sort(found.begin(), found.end(), [](const SteadyStack& a, const SteadyStack& b) {
    return a.after - a.before > b.after - b.before;
  });
  return found;
}

}  // namespace heapecho::aggregator

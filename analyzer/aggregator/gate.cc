// SPDX-License-Identifier: Apache-2.0
// Bounds on growth; the contract is in the header.
#include "analyzer/aggregator/gate.h"

#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "analyzer/aggregator/significance.h"

namespace heapecho::aggregator {
namespace {

bool ParseSize(absl::string_view text, double* bytes) {
  constexpr std::pair<absl::string_view, double> kUnits[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20},
                                                             {"GiB", 1 << 30}, {"K", 1 << 10},
                                                             {"M", 1 << 20},   {"G", 1 << 30}};
  double factor = 1;
  for (const auto& [unit, size] : kUnits) {
    if (!absl::ConsumeSuffix(&text, unit)) continue;
    factor = size;
    break;
  }
  if (!absl::SimpleAtod(text, bytes)) return false;
  *bytes *= factor;
  return true;
}

absl::StatusOr<Bound> ParseBound(absl::string_view text) {
  const auto wrong = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        text,
        ": must be live, peak or allocated, a +, and a percentage or a size, as in live+10%"));
  };
  Bound bound;
  bound.text = std::string(text);
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('+', 1));
  if (parts.first == "live") {
    bound.value = model::Value::kLive;
  } else if (parts.first == "peak") {
    bound.value = model::Value::kPeak;
  } else if (parts.first == "allocated") {
    bound.value = model::Value::kAllocated;
  } else {
    return wrong();
  }
  absl::string_view amount = parts.second;
  double* const target = absl::ConsumeSuffix(&amount, "%") ? &bound.percent : &bound.bytes;
  const bool parsed =
      target == &bound.percent ? absl::SimpleAtod(amount, target) : ParseSize(amount, target);
  if (!parsed || !(*target >= 0) || !std::isfinite(*target)) return wrong();
  return bound;
}

}  // namespace

absl::StatusOr<std::vector<Bound>> ParseBounds(absl::string_view text) {
  std::vector<Bound> bounds;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    absl::StatusOr<Bound> bound = ParseBound(part);
    if (!bound.ok()) return bound.status();
    bounds.push_back(*std::move(bound));
  }
  return bounds;
}

BoundResult Judge(const Bound& bound, const model::Estimate& before, const model::Estimate& after,
                  double odds) {
  const double factor = 1 + bound.percent / 100;
  const double z = SigmasExceededWith(1 / odds);
  BoundResult result;
  result.allowed = before.bytes * factor + bound.bytes;
  result.excess = after.bytes - result.allowed;
  result.error = std::sqrt(after.bytes_variance + factor * factor * before.bytes_variance);
  // What is after has a variance in proportion to itself, so the growth x that is detected solves
  // x - allowed = 2 z sqrt(per_byte x + factor^2 variance of before).
  const double per_byte = after.bytes > 0    ? after.bytes_variance / after.bytes
                          : before.bytes > 0 ? before.bytes_variance / before.bytes
                                             : 0;
  const double step = z * z * per_byte;
  const double margin = 2 * step + 2 * std::sqrt(step * step + step * result.allowed +
                                                 z * z * factor * factor * before.bytes_variance);
  result.detectable = result.allowed - before.bytes + margin;
  result.failed = result.excess > z * result.error;
  return result;
}

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
// How sure a difference is; the contract is in the header.
#include "analyzer/aggregator/significance.h"

#include <algorithm>
#include <cmath>

namespace heapecho::aggregator {
namespace {

struct Amount {
  double value, variance;
};

Amount AmountOf(const model::Estimate& estimate, model::Unit unit) {
  return unit == model::Unit::kBytes ? Amount{estimate.bytes, estimate.bytes_variance}
                                     : Amount{estimate.objects, estimate.objects_variance};
}

}  // namespace

double SigmasExceededWith(double probability) {
  double low = 0, high = 40;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(middle / std::sqrt(2.0)) > probability ? low : high) = middle;
  }
  return low;
}

model::Step StepOf(const model::Estimate& before, const model::Estimate& after, model::Unit unit) {
  const Amount from = AmountOf(before, unit), to = AmountOf(after, unit);
  model::Step step;
  step.amount = to.value - from.value;
  step.error = std::sqrt(from.variance + to.variance);
  if (step.amount == 0) return step;
  const double sigmas = step.error > 0 ? std::abs(step.amount) / step.error : model::kMostSigmas;
  step.sigmas = std::copysign(std::min(sigmas, model::kMostSigmas), step.amount);
  return step;
}

model::Change ChangeOf(const model::Estimate& before, const model::Estimate& after,
                       model::Unit unit, double sigmas) {
  const model::Step step = StepOf(before, after, unit);
  if (step.amount == 0 || std::abs(step.sigmas) < sigmas) return model::Change::kSame;
  if (AmountOf(before, unit).value == 0) return model::Change::kNew;
  if (AmountOf(after, unit).value == 0) return model::Change::kGone;
  return step.amount > 0 ? model::Change::kGrown : model::Change::kShrunk;
}

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
// Amounts as people read them; the contract is in the header.
#include "analyzer/output/units.h"

#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heapecho::output {

std::string HumanBytes(double bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (!(bytes > 0)) return "0 B";
  size_t unit = 0;
  // 1023.5 and above would be shown as 1024 of the smaller unit.
  while (unit + 1 < kUnits.size() && bytes >= 1023.5) {
    bytes /= 1024;
    ++unit;
  }
  const int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
  return absl::StrFormat("%.*f %s", decimals, bytes, kUnits[unit]);
}

std::string HumanCount(double count) {
  if (!(count > 0)) return "0";
  const std::string digits = absl::StrFormat("%.0f", count);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string HumanShare(double part, double whole) {
  return absl::StrFormat("%.1f %%", whole > 0 ? 100 * part / whole : 0.0);
}

std::string HumanEstimate(const model::Estimate& estimate, model::Unit unit) {
  const double amount = AmountOf(estimate, unit);
  const double error = std::sqrt(VarianceOf(estimate, unit));
  if (unit == model::Unit::kBytes)
    return absl::StrCat(HumanBytes(amount), " ± ", HumanBytes(error));
  return absl::StrCat(HumanCount(amount), " ± ", HumanCount(error), " objects");
}

std::string HumanChange(double amount, double error, model::Unit unit) {
  const char* sign = amount < 0 ? "-" : "+";
  if (unit == model::Unit::kBytes)
    return absl::StrCat(sign, HumanBytes(std::abs(amount)), " ± ", HumanBytes(error));
  return absl::StrCat(sign, HumanCount(std::abs(amount)), " ± ", HumanCount(error), " objects");
}

std::string HumanRise(double before, double after) {
  return before > 0 ? absl::StrFormat("%+.1f %%", 100 * (after / before - 1)) : "";
}

absl::string_view ValueName(model::Value value) {
  switch (value) {
    case model::Value::kLive:
      return "live";
    case model::Value::kAllocated:
      return "allocated";
    case model::Value::kPeak:
      return "peak";
    case model::Value::kGrown:
      return "grown";
    case model::Value::kLast:
      return "last";
  }
  return "live";
}

SideNames SideNamesOf(model::Value value) {
  const bool grown = value == model::Value::kGrown || value == model::Value::kLast;
  return grown ? SideNames{"went", "came"} : SideNames{"before", "after"};
}

absl::string_view UnitName(model::Unit unit) {
  return unit == model::Unit::kBytes ? "bytes" : "objects";
}

double AmountOf(const model::Estimate& estimate, model::Unit unit) {
  return unit == model::Unit::kBytes ? estimate.bytes : estimate.objects;
}

double VarianceOf(const model::Estimate& estimate, model::Unit unit) {
  return unit == model::Unit::kBytes ? estimate.bytes_variance : estimate.objects_variance;
}

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// Amounts as people read them: bytes in binary units, counts with separators, shares in percent.
// Pure functions; the same figure is written the same way by every output.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "analyzer/model/profile.h"

namespace heapecho::output {

// "0 B", "917 B", "1.21 KiB", "61.0 MiB", "1.96 GiB": three significant digits; whole bytes below 1
// KiB.
std::string HumanBytes(double bytes);

// "12,345": rounded to a whole number, thousands apart.
std::string HumanCount(double count);

// "61.2 %"; one decimal; "0.0 %" when the whole is not positive.
std::string HumanShare(double part, double whole);

// The amount in `unit` with its standard error: "1.96 GiB ± 12.0 MiB", "12,345 ± 87 objects".
std::string HumanEstimate(const model::Estimate& estimate, model::Unit unit);

// An amount in `unit` by which something changed: "+60.0 MiB", "-12 objects"; and its error.
std::string HumanChange(double amount, double error, model::Unit unit);

// "+50.0 %" of what there was before; "" where that was nothing.
std::string HumanRise(double before, double after);

// "live", "allocated", "peak", "grown", "last"; "bytes", "objects": as the command line names them.
absl::string_view ValueName(model::Value value);
absl::string_view UnitName(model::Unit unit);

// What the two sides of a comparison are: "before" and "after"; of what grew "went" and "came".
struct SideNames {
  absl::string_view before, after;
};
SideNames SideNamesOf(model::Value value);

// The estimate's amount, and the variance of it, in `unit`.
double AmountOf(const model::Estimate& estimate, model::Unit unit);
double VarianceOf(const model::Estimate& estimate, model::Unit unit);

}  // namespace heapecho::output

// SPDX-License-Identifier: Apache-2.0
// A comparison for people; the contract is in the header.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/output/difference.h"
#include "analyzer/output/site_text.h"
#include "analyzer/output/text_table.h"
#include "analyzer/output/units.h"

namespace heapecho::output {
namespace {

std::string Sigmas(double sigmas) {
  if (std::abs(sigmas) >= model::kMostSigmas) return "without doubt";
  return absl::StrFormat("%.1f standard errors", std::abs(sigmas));
}

std::string Amount(const model::Estimate& estimate, model::Unit unit) {
  return HumanEstimate(estimate, unit);
}

std::string Heading(const model::Difference& difference) {
  std::string text = absl::StrCat("heapecho: before  ", Printable(difference.before.scope),
                                  "\n          after   ", Printable(difference.after.scope), "\n");
  if (!difference.per.empty()) {
    absl::StrAppendFormat(&text,
                          "          per %s: %s before, %s after; what is after is shown as if it "
                          "were %s too (times %.4g)\n",
                          difference.per, HumanCount(difference.before.units),
                          HumanCount(difference.after.units), HumanCount(difference.before.units),
                          difference.before.units / difference.after.units);
  }
  return text;
}

std::string Totals(const model::Difference& difference) {
  const model::Profile& profile = difference.profile;
  const model::Unit unit = difference.unit;
  std::string name(ValueName(profile.value));
  name[0] = absl::ascii_toupper(static_cast<unsigned char>(name[0]));
  std::string text = absl::StrCat(
      name, ": ", Amount(profile.total_before, unit), " before, ", Amount(profile.total, unit),
      " after: ",
      StepText(difference.step, difference.change, AmountOf(profile.total_before, unit),
               AmountOf(profile.total, unit), unit),
      "\n");
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < profile.domains.size(); ++i) {
    const double before = AmountOf(profile.domains_before[i], unit);
    const double after = AmountOf(profile.domains[i], unit);
    if (before == 0 && after == 0) continue;
    const double error = std::sqrt(VarianceOf(profile.domains_before[i], unit) +
                                   VarianceOf(profile.domains[i], unit));
    rows.push_back({model::DomainName(static_cast<model::Domain>(i)),
                    Amount(profile.domains_before[i], unit), "->", Amount(profile.domains[i], unit),
                    HumanChange(after - before, error, unit)});
  }
  return absl::StrCat(text, TextTable(rows, {4}));
}

std::string Group(const model::Difference& difference, const model::ChangedGroup& changed,
                  size_t rank, bool domain, size_t frames) {
  const model::Unit unit = difference.unit;
  const model::SiteGroup& group = changed.group;
  std::string text = absl::StrFormat(
      "%3d. %-6s  %s  %s -> %s  %s%s  %s\n", rank, model::ChangeName(changed.change),
      HumanChange(changed.step.amount, changed.step.error, unit), Amount(group.before, unit),
      Amount(group.estimate, unit),
      domain ? absl::StrCat(model::DomainName(group.domain), "  ") : "",
      Sigmas(changed.step.sigmas), Plural(group.sites.size(), "stack"));
  absl::StrAppend(&text, StackText(difference.profile, group, frames));
  return text;
}

// What is not named, together.
std::string Rest(const model::Difference& difference, const model::ChangedGroups& groups,
                 const char* noun) {
  model::Estimate before, after;
  for (size_t i = groups.changed; i < groups.groups.size(); ++i) {
    before += groups.groups[i].group.before;
    after += groups.groups[i].group.estimate;
  }
  if (groups.groups.size() == groups.changed) return "";
  const model::Unit unit = difference.unit;
  const double error = std::sqrt(VarianceOf(before, unit) + VarianceOf(after, unit));
  return absl::StrCat(
      "  not named: ", Plural(groups.groups.size() - groups.changed, noun), ", together ",
      HumanChange(AmountOf(after, unit) - AmountOf(before, unit), error, unit), "\n");
}

std::string Groups(const model::Difference& difference, const model::ChangedGroups& groups,
                   const char* title, const char* noun, bool domain,
                   const DifferenceOptions& options) {
  if (groups.groups.empty()) return "";
  const size_t count = std::min(options.top, groups.changed);
  std::string text = absl::StrCat(
      title, " (", Plural(groups.changed, noun), " of ",
      HumanCount(static_cast<double>(groups.groups.size())),
      count < groups.changed ? absl::StrCat(", ", count, " shown") : "",
      absl::StrFormat("; a change counts from %.1f standard errors on)\n", groups.sigmas));
  for (size_t i = 0; i < count; ++i)
    absl::StrAppend(&text, Group(difference, groups.groups[i], i + 1, domain, options.frames));
  return absl::StrCat(text, Rest(difference, groups, noun), "\n");
}

}  // namespace

std::string StepText(const model::Step& step, model::Change change, double before, double after,
                     model::Unit unit) {
  if (change == model::Change::kSame) {
    return absl::StrCat("the same within the error (", HumanChange(step.amount, step.error, unit),
                        ")");
  }
  const std::string rise = HumanRise(before, after);
  return absl::StrCat(step.amount > 0 ? "grown by " : "shrunk by ",
                      HumanChange(step.amount, step.error, unit).substr(1),
                      rise.empty() ? "" : absl::StrCat(" (", rise, ")"), ", ", Sigmas(step.sigmas));
}

std::string DifferenceText(const model::Difference& difference, const DifferenceOptions& options) {
  return absl::StrCat(
      Heading(difference), "\n", Totals(difference), "\n",
      Groups(difference, difference.own,
             difference.lines ? "Which lines of the application changed"
                              : "Which functions of the application changed",
             difference.lines ? "line" : "function", false, options),
      Groups(difference, difference.functions, "Which functions allocate more or less", "function",
             true, options),
      absl::StrFormat(
          "Where nothing changed, a list names something wrongly in at most %.0f of 100 "
          "comparisons. Only sampling has\nthese errors: what differs because the two "
          "runs did different work is a change.\n\n",
          100 * model::kChanceOfAFalseName),
      WarningsText(difference.profile));
}

}  // namespace heapecho::output

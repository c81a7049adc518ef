// SPDX-License-Identifier: Apache-2.0
// The words after a command's name: options, which each command lists itself, and operands.
//
// Not abseil's flags: those are global to the program, and here `run` and `report` have different
// options, an unknown one must name itself, and what follows `--` belongs to somebody else's
// command.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace heapecho::cli {

struct Option {
  std::string name;   // with its dashes: "--lines", "-o"
  std::string value;  // what stands for its value in the help, e.g. "FILE"; empty: it takes none
  std::string help;   // one line
};

enum class Operands {
  kFiles,    // may stand between options; `--` ends the options
  kCommand,  // the first operand ends the options: it and all after it are a command line
};

class Arguments {
 public:
  // Errors are InvalidArgument and name the option that is unknown, lacks its value or has one too
  // many. An option that is given twice has its last value.
  static absl::StatusOr<Arguments> Parse(absl::Span<const Option> options, Operands operands,
                                         absl::Span<const std::string> words);

  bool Has(absl::string_view option) const {
    return values_.find(std::string(option)) != values_.end();
  }
  // The option's value, or `fallback` where it was not given.
  std::string Get(absl::string_view option, absl::string_view fallback = "") const;
  const std::vector<std::string>& operands() const { return operands_; }

 private:
  std::map<std::string, std::string> values_;
  std::vector<std::string> operands_;
};

}  // namespace heapecho::cli

// SPDX-License-Identifier: Apache-2.0
// The words after a command's name; the contract is in the header.
#include "analyzer/cli/arguments.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapecho::cli {

absl::StatusOr<Arguments> Arguments::Parse(absl::Span<const Option> options, Operands operands,
                                           absl::Span<const std::string> words) {
  Arguments out;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      out.operands_.insert(out.operands_.end(), words.begin() + static_cast<ptrdiff_t>(i) + 1,
                           words.end());
      break;
    }
    if (word == "-" || !absl::StartsWith(word, "-")) {
      if (operands == Operands::kCommand) {
        out.operands_.assign(words.begin() + static_cast<ptrdiff_t>(i), words.end());
        break;
      }
      out.operands_.push_back(word);
      continue;
    }
    const size_t equals = absl::StartsWith(word, "--") ? word.find('=') : std::string::npos;
    const std::string name = word.substr(0, equals);
    const auto option = std::find_if(options.begin(), options.end(),
                                     [&](const Option& known) { return known.name == name; });
    if (option == options.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown option ", name));
    }
    if (option->value.empty()) {
      if (equals != std::string::npos) {
        return absl::InvalidArgumentError(absl::StrCat(name, " takes no value"));
      }
      out.values_[name] = "";
    } else if (equals != std::string::npos) {
      out.values_[name] = word.substr(equals + 1);
    } else if (i + 1 < words.size()) {
      out.values_[name] = words[++i];
    } else {
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a value: ", option->value));
    }
  }
  return out;
}

std::string Arguments::Get(absl::string_view option, absl::string_view fallback) const {
  const auto found = values_.find(std::string(option));
  return found == values_.end() ? std::string(fallback) : found->second;
}

}  // namespace heapecho::cli

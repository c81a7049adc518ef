// SPDX-License-Identifier: Apache-2.0
// Which command is meant, its help, and what is wrong where none is.
#include "analyzer/cli/command.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/cli/console.h"

namespace heapecho::cli {
namespace {

const Command* Find(absl::string_view name) {
  const std::vector<Command>& commands = Commands();
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const Command& command) { return command.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

std::string Help() {
  std::string out =
      "heapecho: what a process holds on its heap, kept on disk while it runs.\n\n"
      "usage: heapecho COMMAND ...\n\n";
  for (const Command& command : Commands()) {
    absl::StrAppendFormat(&out, "  %-11s %s\n", command.name, command.summary);
  }
  absl::StrAppend(&out,
                  "\n`heapecho help COMMAND` shows its options; `heapecho --version` the version.\n"
                  "PATH is a recording or a directory of recordings.\n"
                  "Exit status: 0 done, 1 nothing to show, 2 usage or bad input.\n");
  return out;
}

std::string Help(const Command& command) {
  std::string out = absl::StrCat("usage: heapecho ", command.name, " ", command.usage, "\n\n",
                                 command.summary, "\n");
  if (!command.options.empty()) absl::StrAppend(&out, "\n");
  for (const Option& option : command.options) {
    const std::string left =
        absl::StrCat(option.name, option.value.empty() ? "" : " ", option.value);
    absl::StrAppendFormat(&out, "  %-34s %s\n", left, option.help);
  }
  return out;
}

int Show(const std::string& text) {
  const absl::Status status = WriteOutput("", text);
  return status.ok() ? static_cast<int>(kDone) : Fail(kBadInput, status.message());
}

}  // namespace

const std::vector<Command>& Commands() {
  static const auto& commands = *new std::vector<Command>{
      RunCommand(),   ReportCommand(),     WorkersCommand(), TimelineCommand(),
      TopCommand(),   FlamegraphCommand(), ExportCommand(),  DiffCommand(),
      CheckCommand(), DumpCommand(),       DoctorCommand()};
  return commands;
}

int Main(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::fputs(Help().c_str(), stderr);
    return kBadInput;
  }
  const std::string& first = words[0];
  if (first == "--version") return Show(absl::StrCat("heapecho ", HEAPECHO_VERSION, "\n"));
  if (first == "help" || first == "--help" || first == "-h") {
    if (words.size() == 1) return Show(Help());
    const Command* command = Find(words[1]);
    if (command != nullptr) return Show(Help(*command));
    return Fail(kBadInput, absl::StrCat("unknown command ", words[1], " (see: heapecho help)"));
  }
  const Command* command = Find(first);
  if (command == nullptr) {
    const absl::string_view what = first[0] == '-' ? "unknown option " : "unknown command ";
    return Fail(kBadInput, absl::StrCat(what, first, " (see: heapecho help)"));
  }
  std::vector<Option> options = command->options;
  options.push_back({"--help", "", ""});
  const absl::StatusOr<Arguments> arguments =
      Arguments::Parse(options, command->operands, absl::MakeConstSpan(words).subspan(1));
  if (!arguments.ok()) {
    return Fail(kBadInput, absl::StrCat(first, ": ", arguments.status().message(),
                                        " (see: heapecho help ", first, ")"));
  }
  if (arguments->Has("--help")) return Show(Help(*command));
  return command->run(*arguments);
}

}  // namespace heapecho::cli

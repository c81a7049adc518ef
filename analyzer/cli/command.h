// SPDX-License-Identifier: Apache-2.0
// What a command of the program is, and the commands there are.
#pragma once

#include <string>
#include <vector>

#include "analyzer/cli/arguments.h"

namespace heapecho::cli {

// The program's exit status.
enum ExitStatus : int {
  kDone = 0,
  kNothing = 1,  // there is nothing to show; for doctor: something is wrong
  kBadInput = 2  // the words on the command line, or what they name
};

struct Command {
  std::string name;
  std::string usage;    // what follows the name, e.g. "PATH... [-o FILE]"
  std::string summary;  // one line
  std::vector<Option> options;
  Operands operands = Operands::kFiles;
  int (*run)(const Arguments& arguments) = nullptr;  // gives the exit status
};

Command RunCommand();
Command ReportCommand();
Command WorkersCommand();
Command FlamegraphCommand();
Command ExportCommand();
Command TimelineCommand();
Command TopCommand();
Command DiffCommand();
Command CheckCommand();
Command DumpCommand();
Command DoctorCommand();

// Every command, in the order of the help.
const std::vector<Command>& Commands();

// The program: argv without argv[0] in, exit status out.
int Main(const std::vector<std::string>& words);

}  // namespace heapecho::cli

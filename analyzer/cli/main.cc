// SPDX-License-Identifier: Apache-2.0
// The program's entry: hands its words to the command that they name.
#include <exception>
#include <string>
#include <vector>

#include "analyzer/cli/command.h"
#include "analyzer/cli/console.h"

int main(int argc, char** argv) {
  try {
    return heapecho::cli::Main(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  } catch (const std::exception& error) {  // of the standard library: out of memory
    return heapecho::cli::Fail(heapecho::cli::kBadInput, error.what());
  }
}

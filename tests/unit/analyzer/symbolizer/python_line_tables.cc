// SPDX-License-Identifier: Apache-2.0
// Compares our reading of line tables with an interpreter's own, which it wrote to standard input:
// a code object a line, "name kind first_line table line:bytes line:bytes ...", the table in hex
// ("-" if it is empty) and the line of each run of bytes of code ("0": it has none). Prints what
// differs and how many instructions were looked at.
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "analyzer/symbolizer/python_lines.h"

namespace {

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

}  // namespace

int main() {
  using heapecho::model::LineTable;
  uint64_t codes = 0, instructions = 0, differences = 0;
  for (std::string text; std::getline(std::cin, text);) {
    std::istringstream in(text);
    std::string name, kind, table, run;
    heapecho::model::PythonCode code;
    in >> name >> kind >> code.first_line >> table;
    code.table = kind == "lnotab"  ? LineTable::kLnotab
                 : kind == "lines" ? LineTable::kLines
                                   : LineTable::kLocations;
    code.table_bytes = FromHex(table);
    std::vector<uint32_t> offsets, expected;
    while (in >> run) {
      const size_t colon = run.find(':');
      const auto line = static_cast<uint32_t>(std::stoul(run.substr(0, colon)));
      for (unsigned long i = 0; i < std::stoul(run.substr(colon + 1)); i += 2) {
        offsets.push_back(static_cast<uint32_t>(2 * offsets.size()));
        expected.push_back(line);
      }
    }
    const std::vector<uint32_t> lines = heapecho::symbolizer::PythonLines(code, offsets);
    ++codes;
    for (size_t i = 0; i < offsets.size(); ++i) {
      ++instructions;
      if (lines[i] == expected[i]) continue;
      if (++differences <= 20)
        std::cout << name << " at " << offsets[i] << ": " << lines[i] << ", not " << expected[i]
                  << "\n";
    }
  }
  std::cout << codes << " code objects, " << instructions << " instructions, " << differences
            << " differences\n";
  return differences == 0 && instructions != 0 ? 0 : 1;
}

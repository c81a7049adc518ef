// SPDX-License-Identifier: Apache-2.0
// A parent that names a line in its log, and the analyzer that shows it later, mean the same one,
// though neither may include the other.
#include "preload/recording/python_line.h"

#include <cstdint>
#include <random>
#include <string>

#include "analyzer/aggregator/sites.h"
#include "analyzer/model/profile.h"
#include "analyzer/symbolizer/python_lines.h"
#include "gtest/gtest.h"

namespace heapecho {
namespace {

TEST(PythonLine, IsThatOfTheAnalyzerForTablesOfAnyBytes) {
  std::mt19937_64 random(11);
  uint32_t found = 0;
  for (int i = 0; i < 200000; ++i) {
    const auto form = static_cast<uint8_t>(random() % 4);
    model::PythonCode code;
    code.table = static_cast<model::LineTable>(form);
    code.first_line = static_cast<int32_t>(random() % 3000);
    for (uint64_t n = random() % 60; n-- > 0;) {
      // Entries of the last form have their first bit set; no others do.
      code.table_bytes.push_back(
          static_cast<char>(random() % 3 == 0 ? random() : random() % 12 | (random() % 2 << 7)));
    }
    const uint32_t instruction =
        random() % 20 == 0 ? wire::kNoInstruction : static_cast<uint32_t>(random() % 400);
    const uint32_t as_read =
        instruction == wire::kNoInstruction ? model::PythonNode::kNoInstruction : instruction;
    const uint32_t line =
        recording::LineOfInstruction(static_cast<wire::LineTable>(form),
                                     reinterpret_cast<const uint8_t*>(code.table_bytes.data()),
                                     code.table_bytes.size(), code.first_line, instruction);
    ASSERT_EQ(line, symbolizer::PythonLines(code, {as_read})[0])
        << "form " << int{form} << ", " << instruction;
    found += line != 0;
  }
  EXPECT_GT(found, 50000U) << "many have a line";
}

TEST(PythonLine, BelongsToTheApplicationWhereTheAnalyzerThinksSo) {
  for (const std::string file :
       {"/srv/shop/views.py", "views.py", "", "<string>", "<frozen importlib._bootstrap>",
        "/usr/lib/python3.11/json/__init__.py", "/usr/lib64/python3.9/os.py",
        "/usr/local/lib/python3.12/site-packages/django/db.py",
        "/usr/lib/python3/dist-packages/x.py", "/srv/app/bin/gunicorn", "/srv/app/bin/tool.py",
        "/bin/.py", ".py", "/srv/lib/python2/x.py", "/site-packages/"}) {
    model::Frame frame;
    frame.kind = model::Frame::Kind::kPython;
    frame.file = file;
    EXPECT_EQ(recording::IsOwnPythonFile(file.data(), file.size()), aggregator::IsOwnCode(frame))
        << file;
  }
}

}  // namespace
}  // namespace heapecho

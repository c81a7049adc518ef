// SPDX-License-Identifier: Apache-2.0
// The last step of every command that shows functions: addresses become names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "analyzer/cli/console.h"
#include "analyzer/model/recording.h"
#include "analyzer/symbolizer/python_lines.h"
#include "analyzer/symbolizer/symbolizer.h"

namespace heapecho::cli {

// What `builder`.Finish(symbolize, python lines, progress) makes, with ELF files looked for below
// `sysroot` (empty: where they were). What could not be named is appended to `warnings`.
template <typename Builder>
auto FinishNamed(Builder& builder, const std::string& sysroot, Progress* progress,
                 std::vector<std::string>* warnings) {
  symbolizer::ElfOptions options;
  options.sysroot = sysroot;
  const std::unique_ptr<symbolizer::Symbolizer> symbolizer =
      symbolizer::MakeElfSymbolizer(options);
  auto finished = builder.Finish(
      [&](const model::Module& module, absl::Span<const uint64_t> addresses) {
        return symbolizer->Symbolize(module, addresses);
      },
      symbolizer::PythonLines,
      [&](size_t done, size_t total) {
        progress->Show("naming the functions of module", done, total);
      });
  progress->Clear();
  for (std::string& text : symbolizer->Warnings()) warnings->push_back(std::move(text));
  return finished;
}

}  // namespace heapecho::cli

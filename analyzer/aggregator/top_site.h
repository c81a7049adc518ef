// SPDX-License-Identifier: Apache-2.0
// What one process held most, found before its stacks have names.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "analyzer/model/recording.h"
#include "analyzer/model/report.h"

namespace heapecho::aggregator {

struct TopStack {
  model::StackId stack;      // the largest one of those that count together
  model::Estimate estimate;  // of all of them
};

// Of the recording's live blocks: those together that have one innermost function of the
// application's own Python code in common, if they hold a tenth of it; else the largest stack. None
// where nothing is live.
std::optional<TopStack> FindTopStack(const std::vector<model::Stack>& stacks,
                                     const std::vector<model::LiveBlock>& live_blocks,
                                     const std::vector<model::PythonNode>& python_nodes,
                                     const std::vector<model::PythonCode>& python_code);

// For each stack the innermost function of the application's own Python code, its own or of those
// on whose behalf it worked: an index into `python_code`; 0: none.
std::vector<uint32_t> OwnCodeOf(const std::vector<model::Stack>& stacks,
                                const std::vector<model::PythonNode>& python_nodes,
                                const std::vector<model::PythonCode>& python_code);

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/aggregator/top_site.h"

#include <cstdint>

#include "analyzer/aggregator/sites.h"

namespace heapecho::aggregator {
namespace {

constexpr double kWorthNaming = 0.1;

std::vector<bool> OwnCode(const std::vector<model::PythonCode>& codes) {
  std::vector<bool> own(codes.size());
  for (size_t i = 1; i < codes.size(); ++i) {
    model::Frame frame;
    frame.kind = model::Frame::Kind::kPython;
    frame.file = codes[i].file;
    own[i] = IsOwnCode(frame);
  }
  return own;
}

template <typename T>
size_t IndexOfLargest(const std::vector<T>& amounts) {
  size_t largest = 0;
  for (size_t i = 1; i < amounts.size(); ++i) {
    if (amounts[i].bytes > amounts[largest].bytes) largest = i;
  }
  return largest;
}

}  // namespace

std::vector<uint32_t> OwnCodeOf(const std::vector<model::Stack>& stacks,
                                const std::vector<model::PythonNode>& python_nodes,
                                const std::vector<model::PythonCode>& python_code) {
  const std::vector<bool> own = OwnCode(python_code);
  std::vector<uint32_t> code_of(stacks.size(), 0);
  const auto own_code = [&](uint32_t node) {
    while (node != 0 && !own[python_nodes[node].code]) node = python_nodes[node].parent;
    return node;
  };
  for (size_t i = 0; i < stacks.size(); ++i) {
    uint32_t node = own_code(stacks[i].python_leaf);
    if (node == 0) node = own_code(stacks[i].behalf_leaf);
    if (node != 0) code_of[i] = python_nodes[node].code;
  }
  return code_of;
}

std::optional<TopStack> FindTopStack(const std::vector<model::Stack>& stacks,
                                     const std::vector<model::LiveBlock>& live_blocks,
                                     const std::vector<model::PythonNode>& python_nodes,
                                     const std::vector<model::PythonCode>& python_code) {
  if (stacks.empty() || live_blocks.empty()) return std::nullopt;
  std::vector<model::Estimate> by_stack(stacks.size());
  double total = 0;
  for (const model::LiveBlock& block : live_blocks) {
    const model::Estimate estimate = block.ToEstimate();
    by_stack[block.stack.value < stacks.size() ? block.stack.value : 0] += estimate;
    total += estimate.bytes;
  }
  const std::vector<uint32_t> code_of = OwnCodeOf(stacks, python_nodes, python_code);
  std::vector<model::Estimate> by_code(python_code.size());
  for (size_t i = 0; i < stacks.size(); ++i)
    if (code_of[i] != 0) by_code[code_of[i]] += by_stack[i];
  const size_t code = by_code.empty() ? 0 : IndexOfLargest(by_code);
  if (code == 0 || by_code[code].bytes < kWorthNaming * total) {
    const size_t stack = IndexOfLargest(by_stack);
    return TopStack{{static_cast<uint32_t>(stack)}, by_stack[stack]};
  }
  size_t largest = 0;
  for (size_t i = 0; i < stacks.size(); ++i) {
    if (code_of[i] == code && (largest == 0 || by_stack[i].bytes > by_stack[largest].bytes))
      largest = i;
  }
  return TopStack{{static_cast<uint32_t>(largest)}, by_code[code]};
}

}  // namespace heapecho::aggregator

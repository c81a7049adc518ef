// SPDX-License-Identifier: Apache-2.0
// The frames of many recordings' stacks in prefix trees, before they have names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "analyzer/model/recording.h"

namespace heapecho::aggregator {

struct MergedNodeId {  // 0: the root, which is no frame
  uint32_t value = 0;
  friend bool operator==(MergedNodeId, MergedNodeId) = default;
  template <typename H>
  friend H AbslHashValue(H h, MergedNodeId id) {
    return H::combine(std::move(h), id.value);
  }
};

struct LocationId {  // index into locations()
  uint32_t value = 0;
};

// Two recordings' modules are one if path and build-id agree: what lay where is the run's own
// business, the addresses are the ELF file's. Two recordings' code objects are one if all that is
// known of them agrees. Grows with the number of distinct frames-below-callers. Not thread-safe.
class MergedStacks {
 public:
  struct Location {
    bool python = false;
    bool boundary = false;  // model::Node::evaluates_python, or model::PythonNode::group_entry
    uint32_t owner =
        0;  // index into modules(), or into codes(); 0: none, the address means nothing
    uint64_t address = 0;  // in the module; of Python code the instruction
  };
  struct Node {
    MergedNodeId parent;
    LocationId location;
  };

  MergedStacks();

  // Turns one recording's nodes into merged ones, when they are asked for. A module without a path
  // is the program itself: the loader gives it no name. Must not outlive the arguments.
  class Importer {
   public:
    struct Frames {
      const std::vector<model::Module>& modules;
      const std::vector<model::Node>& native;
      const std::vector<model::PythonNode>& python;
      const std::vector<model::PythonCode>& code;
      const std::string& executable;
    };
    Importer(MergedStacks* merged, const Frames& frames);
    MergedNodeId ImportNative(uint32_t node);
    MergedNodeId ImportPython(uint32_t node);

   private:
    uint32_t ModuleOf(uint16_t id) const;
    uint32_t CodeOf(uint32_t code);
    Location LocationOf(const model::Node& node);
    Location LocationOf(const model::PythonNode& node);
    template <typename AnyNode>
    MergedNodeId Import(const std::vector<AnyNode>& nodes, uint32_t node,
                        std::vector<uint32_t>* known);

    MergedStacks* merged_;
    const Frames frames_;
    std::vector<std::pair<uint16_t, uint32_t>> modules_;  // recording's id, merged index; by id
    std::vector<uint32_t> codes_;         // merged index by the recording's; kUnknown: not yet
    std::vector<uint32_t> known_native_;  // merged node by node; kUnknown: not yet
    std::vector<uint32_t> known_python_;
    std::vector<uint32_t> path_;  // scratch
  };

  const std::vector<model::Module>& modules() const { return modules_; }  // [0] stands for none
  // Those in which Python was evaluated.
  const std::vector<bool>& interpreters() const { return interpreters_; }  // by module
  const std::vector<const model::PythonCode*>& codes() const {
    return codes_;
  }  // [0]: null, unknown
  const std::vector<Location>& locations() const { return locations_; }
  const std::vector<Node>& nodes() const { return nodes_; }

 private:
  uint32_t AddModule(const model::Module& module, const std::string& executable);
  uint32_t AddCode(const model::PythonCode& code);
  MergedNodeId AddNode(MergedNodeId parent, Location location);

  std::vector<model::Module> modules_;
  std::vector<bool> interpreters_;
  std::vector<const model::PythonCode*> codes_;  // into code_index_
  std::vector<Location> locations_;
  std::vector<Node> nodes_;
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> module_index_;
  std::map<model::PythonCode, uint32_t> code_index_;
  absl::flat_hash_map<std::tuple<bool, bool, uint32_t, uint64_t>, uint32_t> location_index_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> node_index_;
};

}  // namespace heapecho::aggregator

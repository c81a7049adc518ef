// SPDX-License-Identifier: Apache-2.0
// The stacks of many recordings in one prefix tree, before they have names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
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
// business, the addresses are the ELF file's. Grows with the number of distinct
// frames-below-callers. Not thread-safe.
class MergedStacks {
 public:
  struct Location {
    uint32_t module = 0;  // index into modules(); 0: none, the address means nothing
    uint64_t address = 0;
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
    Importer(MergedStacks* merged, const std::vector<model::Module>& modules,
             const std::vector<model::Node>& nodes, const std::string& executable);
    MergedNodeId Import(uint32_t node);

   private:
    uint32_t ModuleOf(uint16_t id) const;

    MergedStacks* merged_;
    const std::vector<model::Node>& nodes_;
    std::vector<std::pair<uint16_t, uint32_t>> modules_;  // recording's id, merged index; by id
    std::vector<uint32_t> known_;                         // merged node by node; kUnknown: not yet
    std::vector<uint32_t> path_;                          // scratch
  };

  const std::vector<model::Module>& modules() const { return modules_; }  // [0] stands for none
  const std::vector<Location>& locations() const { return locations_; }
  const std::vector<Node>& nodes() const { return nodes_; }

 private:
  uint32_t AddModule(const model::Module& module, const std::string& executable);
  MergedNodeId AddNode(MergedNodeId parent, uint32_t module, uint64_t address);

  std::vector<model::Module> modules_;
  std::vector<Location> locations_;
  std::vector<Node> nodes_;
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> module_index_;
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, uint32_t> location_index_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> node_index_;
};

}  // namespace heapecho::aggregator

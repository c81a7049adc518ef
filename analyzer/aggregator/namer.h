// SPDX-License-Identifier: Apache-2.0
// From merged nodes to frames with names: what a total's stack looks like to a person.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "analyzer/aggregator/aggregator.h"
#include "analyzer/aggregator/folding.h"
#include "analyzer/aggregator/merged_stacks.h"
#include "analyzer/model/profile.h"

namespace heapecho::aggregator {

struct Leaves {
  MergedNodeId native, python;
  MergedNodeId behalf;  // Python frames too
};

// Name() once, then Append() and Intern() as often as needed, then Finish(). Not thread-safe.
class Namer {
 public:
  explicit Namer(const MergedStacks& merged);

  // Asks for every location of these stacks, once each.
  void Name(const std::vector<Leaves>& stacks, SymbolizeFn symbolize, PythonLinesFn python_lines,
            absl::FunctionRef<void(size_t done, size_t total)> progress);

  // The id of this frame; final only after Finish().
  uint32_t Intern(const model::Frame& frame);
  // The same of one that is made up.
  uint32_t InternSynthetic(std::string name);

  // Appends a stack, root first: the frames on whose behalf it ran, then both kinds of its own in
  // the order that model::PythonNode tells, folded. Functions of the recording library, which
  // stands between a program and what it calls, are left out. Whether it is whole although the
  // native walk broke: where Python's frames go on to the thread's first one, and of a greenlet,
  // which begins where the walk finds no more.
  bool Append(const Leaves& leaves, Native native, bool internals,
              std::vector<model::FrameId>* frames);

  // Those of ids that are not final yet.
  std::vector<const model::Frame*> Frames(const std::vector<model::FrameId>& ids) const;

  // Gives the profile the frames that its samples have, sorted, and renumbers the samples' ones.
  void Finish(model::Profile* profile);

 private:
  void NameNative(const std::map<uint64_t, std::vector<uint32_t>>& places,
                  const std::vector<std::vector<model::Frame>>& named);

  const MergedStacks& merged_;
  std::vector<bool> own_;                         // by module: it is the recording library itself
  std::set<std::string> interpreters_;            // file names of modules
  std::vector<std::vector<uint32_t>> frames_at_;  // by location, innermost first
  std::map<model::Frame, uint32_t> index_;
  std::vector<const model::Frame*> frames_;  // by id, into index_
  std::vector<Role> roles_;                  // by id
  std::vector<uint32_t> locations_, ids_;    // scratch
  std::vector<Role> stack_roles_;            // scratch
};

}  // namespace heapecho::aggregator

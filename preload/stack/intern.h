// SPDX-License-Identifier: Apache-2.0
// Whole stacks to small ids, and each id's totals.
//
// A captured stack, native and Python frames, is hashed and looked up in a lossy cache; only a stack that is not in
// it is walked through the two prefix trees, frame by frame, to its two leaves, and the leaves to its id. Where the stack
// before took the same way, that is not looked up again (known_path.h). All of it is lock-free.
//
// When the tables are full, the stacks longest unused that hold no live bytes are folded: each loses its
// innermost frames down to the point where it branched off, and its totals are added to the stack that ends
// there. Innermost means innermost of both kinds as they interleave, so that what is left of the two leaves is still
// one stack: a native frame that evaluated Python code goes with the last of its Python frames, the stack on whose behalf
// this one ran comes last, and the point is reached where all leaves are shared with somebody. Detail is lost, never bytes, and never a new site. Folding needs the tables for itself. It takes them
// only when nobody is inside (Use counts who is), and while it runs, samples of other threads are accounted to
// their domain's stack without frames (counted): nobody waits. Where it cannot run, or ran a moment ago, a new stack is cut to
// the innermost caller that has an id.
//
// Alternatives: epochs with deferred frees would let others in while folding, at the price of a retired list
// that a killed or longjmp'ing thread would hold for ever; a table a thread would need merging in the reader
// and multiplies the memory by the threads.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/stack/known_path.h"
#include "preload/stack/native_unwinder.h"
#include "preload/stack/prefix_tree.h"
#include "preload/stack/python_walk.h"
#include "preload/stack/totals.h"

namespace heapecho::stack {

// Where the tables are mirrored to: told after each write, by the writing thread, within a hook.
struct InternSink {
  PrefixTree::Written native_node_written;
  PrefixTree::Written python_node_written;
  void (*stack_written)(uint32_t stack);
  // While folding: adds one to `references`, by node, for each Python node that somebody holds beside the stacks, as
  // InternPython() gave it. Null: nobody does.
  void (*count_held)(uint32_t* references);
};

// A captured stack, merged (MergeFrames), innermost frames first.
struct CapturedStack {
  const NativeFrame* native;
  NativeWalk native_walk;
  const PythonFrame* python;
  PythonWalk python_walk;
  uint32_t (*code_id)(const PythonFrame& frame);  // the id of a frame's code, 0 for one that is not known
  KnownPath* path = nullptr;  // of the stack before; becomes that of this one, if it had to be looked up
  uint32_t behalf_leaf = 0;  // of InternPython(): the Python stack on whose behalf this one runs; outside of all others
};

class Interner {
 public:
  // Room for `stacks` ids (0, the unknown stack, included) and so many frames. False without memory.
  bool Initialize(uint32_t stacks, uint32_t native_nodes, uint32_t python_nodes, InternSink sink);

  // Being inside. While one is, an id that Intern() gave stays the same stack. Not copied, on the stack.
  class Use {
   public:
    explicit Use(Interner& interner);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    bool folding() const { return folding_; }  // the tables are another thread's now: only stacks without frames

   private:
    Interner& interner_;
    bool folding_;
  };

  // The id of a captured stack. Call inside a Use. Never fails: at worst its domain's stack without frames, counted.
  uint32_t Intern(const Use& use, const CapturedStack& captured, wire::Domain domain, uint64_t now_ns);

  // The node of a stack of Python frames alone, which another thread's stacks are to name as theirs (behalf_leaf): one of
  // somebody that InternSink::count_held tells of, or it means nothing once the Use has ended. 0: none, or no room.
  uint32_t InternPython(const Use& use, const PythonFrame* frames, uint32_t count,
                        uint32_t (*code_id)(const PythonFrame& frame));

  StackTotals& Totals(uint32_t stack) { return stacks_[stack]; }
  const PrefixTree& native_nodes() const { return native_; }
  const PrefixTree& python_nodes() const { return python_; }
  uint32_t used() const { return used_.load(std::memory_order_relaxed); }  // ids at or beyond: never used

  // Folds when the tables are short of room, this thread is inside alone, and the last time is a second ago.
  // Call inside a Use, before Intern. `process` says what the current peak is.
  void FoldIfFull(const Use& use, const ProcessTotals& process, uint64_t now_ns);

  // Whether folding made little room, since nearly all stacks hold something: what is live has to become less. True once
  // for each such time, after which the tables may be folded again at once.
  bool TakeCrowded();

  // In a forked child, before any other call: whoever was inside is not here.
  void AfterFork();

 private:
  struct Key {
    uint32_t native_leaf, python_leaf, behalf_leaf;
    uint16_t flags;
    bool IsEmpty() const { return native_leaf == 0 && python_leaf == 0 && behalf_leaf == 0; }
    uint8_t domain;
  };
  struct References;  // how much stands on each node, while folding

  static uint32_t HashOf(const Key& key);
  Key KeyOf(uint32_t stack) const;
  bool Insert(const CapturedStack& captured, Key* key);
  uint32_t PythonNode(const CapturedStack& captured, uint32_t frame, uint32_t parent);
  uint32_t NativeNode(const CapturedStack& captured, uint32_t frame, uint32_t parent);
  void CutInnermost(Key* key) const;
  bool IsCrowded() const;
  uint32_t FindStack(const Key& key) const;
  uint32_t FindOrAddStack(const Key& key, uint64_t now_ns);
  uint32_t ReserveStack();
  bool Matches(uint32_t stack, const Key& key) const;
  void Fold(const ProcessTotals& process, uint64_t now_ns);
  void FoldOne(uint32_t stack, const ProcessTotals& process, References& references, uint64_t now_ns);
  uint32_t FoldCutoff() const;
  void RebuildStackIndex();

  PrefixTree native_, python_;
  InternSink sink_ = {};
  uint32_t capacity_ = 0;
  uint32_t index_mask_ = 0;
  uint32_t cache_mask_ = 0;
  StackTotals* stacks_ = nullptr;
  std::atomic<uint32_t>* index_ = nullptr;  // stack id; 0: empty
  std::atomic<uint64_t>* cache_ = nullptr;  // hash of the frames, its low 16 bits replaced by the id
  // Of InternPython: hash of the frames, its low 24 bits replaced by the node.
  static constexpr uint32_t kPythonCached = 64;
  std::atomic<uint64_t> python_cache_[kPythonCached];
  std::atomic<uint32_t> unknown_[wire::kDomains];  // by domain: its stack without frames
  std::atomic<uint32_t> used_;
  std::atomic<uint64_t> free_list_;  // tag << 32 | stack; linked through native_leaf
  std::atomic<uint32_t> inside_;
  std::atomic<bool> folding_;
  std::atomic<uint32_t> folds_;  // so far: between two, a node stays the same frame
  std::atomic<uint64_t> folded_ns_;
  std::atomic<bool> crowded_;
};

}  // namespace heapecho::stack

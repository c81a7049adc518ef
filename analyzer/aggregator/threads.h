// SPDX-License-Identifier: Apache-2.0
// What threads are called in a profile, so that a person sees which kind of thread holds memory:
// those of one process that do the same work are one group with a count, "worker_loop (tasks.py),
// 40 threads". A thread is known by the first of these that says something:
//
// - that it is the main thread;
// - the kernel's name for it, unless that is the process's, or one that threading makes up
// ("Thread-3
//   (work"). Names that differ by a number at the end are one group, "worker-N";
// - its entry function, read off its stacks: the outermost Python function below the bootstrap of
//   threading, concurrent.futures and multiprocessing's pool, or the outermost native one below
//   that of the C and the C++ library. The threads of a pool go by the function that nine tenths of
//   the pool's samples are of, and where there is none by the pool.
//
// A group of one names its thread, so that --where thread=N can follow.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/string_view.h"
#include "analyzer/model/profile.h"
#include "analyzer/model/recording.h"

namespace heapecho::aggregator {

struct ThreadId {  // of Threads; 0: no thread was asked for
  uint32_t value = 0;
  friend bool operator==(ThreadId, ThreadId) = default;
  template <typename H>
  friend H AbslHashValue(H h, ThreadId id) {
    return H::combine(std::move(h), id.value);
  }
};

// Find() the thread of each block, SawStack() each of its stacks, then Name() once. Not
// thread-safe.
class Threads {
 public:
  // The thread that had the kernel's id `thread` at `time_ns` in `recording`, which is `process`.
  ThreadId Find(const model::Recording& recording, uint32_t process, uint32_t thread,
                uint64_t time_ns);
  // What stands for all threads of the parent, whose blocks this process inherited.
  ThreadId FindInherited(uint32_t process);

  // A stack of this thread, root first, which stands for so many samples.
  void SawStack(ThreadId thread, const std::vector<const model::Frame*>& frames, uint32_t samples);

  // What each thread's group is called, by ThreadId. Those that no stack was seen of do not count.
  std::vector<std::string> Name() const;

 private:
  struct Entry {
    uint32_t samples = 0;
    bool python = false;
    std::string pool;  // empty: the thread is not of a pool
  };
  struct Thread {
    uint32_t process = 0;
    uint32_t id = 0;  // the kernel's
    bool inherited = false, main = false, seen = false;
    std::string name;  // the kernel's; empty: says nothing
    std::map<std::string, Entry> entries;
  };
  struct Group {
    std::string key;     // equal in all threads of the group
    std::string single;  // what it is called where all its threads are called so
  };
  std::vector<Group> Groups() const;

  std::vector<Thread> threads_ = std::vector<Thread>(1);
  std::map<std::tuple<uint32_t, uint32_t, uint64_t, bool>, uint32_t> index_;
  std::map<uint32_t, std::set<std::string>> process_names_;  // that tell no thread from another
};

}  // namespace heapecho::aggregator

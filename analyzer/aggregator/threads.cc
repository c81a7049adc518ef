// SPDX-License-Identifier: Apache-2.0
// What threads are called; the contract is in the header.
#include "analyzer/aggregator/threads.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "analyzer/aggregator/folding.h"

namespace heapecho::aggregator {
namespace {

// The kernel keeps this many characters of a name.
constexpr size_t kKernelName = 15;

// A function that so large a part of a pool's samples are of is what the pool is for; callbacks and
// the like are not.
constexpr uint64_t kNearlyAll = 9;
constexpr uint64_t kWhole = 10;

// How a Python thread gets to its function. `function`: the last part of the qualified name; empty:
// any.
struct Bootstrap {
  absl::string_view file;
  absl::string_view function;
  absl::string_view pool;  // empty: no pool
};
constexpr Bootstrap kBootstrap[] = {
    {"/threading.py", "", ""},
    {"/concurrent/futures/thread.py", "", "ThreadPoolExecutor"},
    {"/concurrent/futures/_base.py", "", "ThreadPoolExecutor"},
    {"/multiprocessing/pool.py", "worker", "multiprocessing.pool"},
    {"/multiprocessing/pool.py", "mapstar", "multiprocessing.pool"},
    {"/multiprocessing/pool.py", "starmapstar", "multiprocessing.pool"},
};

// How a native thread gets to its function, beside the C library's part; by the beginning of the
// name.
constexpr absl::string_view kNativeBootstrap[] = {
    "execute_native_thread_routine",
    "std::thread::",
    "std::jthread::",
    "std::__invoke",
    "std::invoke",
    "void std::__invoke",
    "void std::invoke",
    "void* std::__",
    "boost::(anonymous namespace)::thread_proxy",
    "std::sys::",
    "std::sys_common::",
    "core::ops::function::FnOnce",
    "<alloc::boxed::Box<",
    "alloc::boxed::",
    "pythread_wrapper",
    "thread_run",
    "t_bootstrap",
};

absl::string_view FileName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

absl::string_view LastPart(absl::string_view name) {
  const size_t point = name.rfind('.');
  return point == absl::string_view::npos ? name : name.substr(point + 1);
}

const Bootstrap* BootstrapOf(const model::Frame& frame) {
  const auto it =
      std::find_if(std::begin(kBootstrap), std::end(kBootstrap), [&](const Bootstrap& bootstrap) {
        return absl::EndsWith(frame.file, bootstrap.file) &&
               (bootstrap.function.empty() || LastPart(frame.function) == bootstrap.function);
      });
  return it == std::end(kBootstrap) ? nullptr : it;
}

bool IsNativeBootstrap(const model::Frame& frame) {
  if (frame.kind != model::Frame::Kind::kNative) return true;  // made up: no function
  if (RoleOf(frame, {}) == Role::kStart) return true;
  return std::any_of(
      std::begin(kNativeBootstrap), std::end(kNativeBootstrap),
      [&](absl::string_view name) { return absl::StartsWith(frame.function, name); });
}

// What a process is called, as its threads inherit it: none of these tells one of them from the
// others.
std::set<std::string> ProcessNames(const model::Recording& recording) {
  const auto kernel_name = [](const std::string& path) {
    return std::string(FileName(path).substr(0, kKernelName));
  };
  const std::vector<std::string>& command = recording.identity.command;
  std::set<std::string> names = {"", kernel_name(recording.identity.executable)};
  for (size_t i = 0; i < std::min<size_t>(command.size(), 2); ++i)
    names.insert(kernel_name(command[i]));
  for (const model::Thread& thread : recording.threads)
    if (thread.id == recording.pid) names.insert(thread.name);
  return names;
}

// "Thread-3" and "Thread-3 (work": what threading calls a thread that nobody named (the kernel
// hears of it from Python 3.14 on).
bool IsMadeUp(absl::string_view name) {
  constexpr absl::string_view kPrefix = "Thread-";
  return absl::StartsWith(name, kPrefix) && name.size() > kPrefix.size() &&
         absl::ascii_isdigit(static_cast<unsigned char>(name[kPrefix.size()]));
}

// "worker-N" of "worker-12".
std::string WithoutNumber(const std::string& name) {
  size_t end = name.size();
  while (end > 0 && absl::ascii_isdigit(static_cast<unsigned char>(name[end - 1]))) --end;
  return end == name.size() || end == 0 ? name : absl::StrCat(name.substr(0, end), "N");
}

}  // namespace

ThreadId Threads::Find(const model::Recording& recording, uint32_t process, uint32_t thread,
                       uint64_t time_ns) {
  // The youngest record of this id that is not younger than the time.
  const auto after = std::upper_bound(
      recording.threads.begin(), recording.threads.end(), std::pair(thread, time_ns),
      [](const std::pair<uint32_t, uint64_t>& wanted, const model::Thread& record) {
        return wanted < std::pair(record.id, record.first_seen_ns);
      });
  const bool known = after != recording.threads.begin() && std::prev(after)->id == thread;
  const uint64_t since = known ? std::prev(after)->first_seen_ns : 0;
  const auto [entry, is_new] =
      index_.try_emplace({process, thread, since, false}, static_cast<uint32_t>(threads_.size()));
  if (is_new) {
    Thread& added = threads_.emplace_back();
    added.process = process;
    added.id = thread;
    added.main = thread == recording.pid;
    const auto [names, is_first] = process_names_.try_emplace(process);
    if (is_first) names->second = ProcessNames(recording);
    if (known && !names->second.contains(std::prev(after)->name) &&
        !IsMadeUp(std::prev(after)->name))
      added.name = std::prev(after)->name;
  }
  return {entry->second};
}

ThreadId Threads::FindInherited(uint32_t process) {
  const auto [entry, is_new] =
      index_.try_emplace({process, 0, 0, true}, static_cast<uint32_t>(threads_.size()));
  if (is_new) {
    Thread& added = threads_.emplace_back();
    added.process = process;
    added.inherited = true;
  }
  return {entry->second};
}

void Threads::SawStack(ThreadId id, const std::vector<const model::Frame*>& frames,
                       uint32_t samples) {
  Thread& thread = threads_[id.value];
  thread.seen = true;
  const auto is_python = [](const model::Frame* frame) {
    return frame->kind == model::Frame::Kind::kPython;
  };
  Entry entry;
  entry.python = std::any_of(frames.begin(), frames.end(), is_python);
  std::string label;
  for (const model::Frame* const frame : frames) {
    if (entry.python) {
      if (!is_python(frame)) continue;
      if (const Bootstrap* const bootstrap = BootstrapOf(*frame)) {
        if (!bootstrap->pool.empty()) entry.pool = std::string(bootstrap->pool);
        continue;
      }
      label = absl::StrCat(frame->function, " (", FileName(frame->file), ")");
    } else {
      if (IsNativeBootstrap(*frame)) continue;
      const bool nameless = absl::StartsWith(frame->function, "0x");
      label = nameless ? absl::StrCat("a function of ", frame->module)
                       : absl::StrCat(frame->function, frame->module.empty() ? "" : " (",
                                      frame->module, frame->module.empty() ? "" : ")");
    }
    break;
  }
  Entry& known = thread.entries[label];
  known.samples += samples;
  known.python = entry.python;
  if (!entry.pool.empty()) known.pool = entry.pool;
}

std::vector<Threads::Group> Threads::Groups() const {
  // Samples of the functions that the threads of a process's pool run.
  std::map<std::pair<uint32_t, std::string>, std::map<std::string, uint64_t>> pools;
  for (const Thread& thread : threads_)
    for (const auto& [label, entry] : thread.entries)
      if (!entry.pool.empty() && !label.empty())
        pools[{thread.process, entry.pool}][label] += entry.samples;
  const auto name_of_pool = [&](uint32_t process, const std::string& pool) {
    const std::map<std::string, uint64_t>& functions = pools[{process, pool}];
    uint64_t all = 0;
    auto most = functions.begin();
    for (auto function = functions.begin(); function != functions.end(); ++function) {
      all += function->second;
      if (function->second > most->second) most = function;
    }
    return all > 0 && most->second * kWhole >= all * kNearlyAll ? most->first : pool;
  };

  std::vector<Group> groups(threads_.size());
  for (size_t i = 1; i < threads_.size(); ++i) {
    const Thread& thread = threads_[i];
    std::string& key = groups[i].key;
    if (thread.inherited || thread.main) {
      key = thread.main ? "main thread" : "[before the fork]";
    } else if (!thread.name.empty()) {
      key = WithoutNumber(thread.name);
      groups[i].single = thread.name;
    } else {
      // Python's entry says more than that of a stack without Python, a function more than none.
      const auto rank = [](const std::pair<const std::string, Entry>& entry) {
        return std::tuple(!entry.first.empty(), entry.second.python, entry.second.samples);
      };
      const auto best =
          std::max_element(thread.entries.begin(), thread.entries.end(),
                           [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
      if (best == thread.entries.end()) continue;
      const std::string& pool = best->second.pool;
      key = pool.empty() ? best->first : name_of_pool(thread.process, pool);
    }
  }
  return groups;
}

std::vector<std::string> Threads::Name() const {
  const std::vector<Group> groups = Groups();
  struct Members {
    size_t count = 0;
    std::set<std::string> singles;
  };
  std::map<std::pair<uint32_t, std::string>, Members> members;
  for (size_t i = 1; i < threads_.size(); ++i) {
    if (!threads_[i].seen) continue;
    Members& of_group = members[{threads_[i].process, groups[i].key}];
    ++of_group.count;
    of_group.singles.insert(groups[i].single);
  }
  std::vector<std::string> names(threads_.size());
  for (size_t i = 1; i < threads_.size(); ++i) {
    const Thread& thread = threads_[i];
    const Group& group = groups[i];
    const Members& of_group = members[{thread.process, group.key}];
    std::string name = group.key;
    if (!group.single.empty() && of_group.singles.size() == 1) name = group.single;
    if (!thread.inherited && !thread.main) {
      if (of_group.count == 1) {
        absl::StrAppend(&name, name.empty() ? "thread " : ", thread ", thread.id);
      } else {
        absl::StrAppend(&name, name.empty() ? "" : ", ", of_group.count, " threads");
      }
    }
    names[i] = std::move(name);
  }
  return names;
}

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
// Recordings to one profile; the contract is in the header.
#include "analyzer/aggregator/aggregator.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "analyzer/aggregator/ends.h"
#include "analyzer/aggregator/findings.h"
#include "analyzer/aggregator/growth_findings.h"
#include "analyzer/aggregator/memory.h"
#include "analyzer/aggregator/merged_stacks.h"
#include "analyzer/aggregator/namer.h"
#include "analyzer/aggregator/significance.h"
#include "analyzer/aggregator/sites.h"
#include "analyzer/aggregator/steady_growth.h"
#include "analyzer/aggregator/threads.h"
#include "analyzer/aggregator/top_site.h"
#include "analyzer/aggregator/view.h"
#include "analyzer/aggregator/workers.h"

namespace heapecho::aggregator {
namespace {

using model::Domain;
using model::Estimate;

// What is summed into one total, before it has names.
struct Key {
  MergedNodeId leaf, python_leaf, behalf_leaf;
  Domain domain = Domain::kMalloc;
  enum Flag : uint8_t { kUnknownStack = 1, kTruncated = 2, kBroken = 4, kUnlisted = 8, kCut = 16 };
  uint8_t flags = 0;
  uint32_t process = 0;  // index of the recording, if asked for by process or thread
  ThreadId thread;       // if asked for by thread

  friend bool operator==(const Key&, const Key&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Key& key) {
    return H::combine(std::move(h), key.leaf, key.python_leaf, key.behalf_leaf, key.domain,
                      key.flags, key.process, key.thread);
  }
};

struct Total {
  Estimate estimate;
  uint64_t oldest_ns = 0;
  uint32_t samples = 0;
  model::Growth growth{};

  bool IsNothing() const {
    return estimate.bytes == 0 && estimate.objects == 0 && growth.came.bytes == 0 &&
           growth.went.bytes == 0;
  }
  Total& operator+=(const Total& other) {
    estimate += other.estimate;
    growth += other.growth;
    oldest_ns = std::max(oldest_ns, other.oldest_ns);
    samples += other.samples;
    return *this;
  }
};

// Sums in the order in which the keys came, whatever the hashes are.
class Totals {
 public:
  void Add(const Key& key, const Total& total) {
    const auto [entry, is_new] = index_.try_emplace(key, entries_.size());
    if (is_new) {
      entries_.emplace_back(key, total);
    } else {
      entries_[entry->second].second += total;
    }
  }
  const std::vector<std::pair<Key, Total>>& entries() const { return entries_; }

 private:
  absl::flat_hash_map<Key, size_t> index_;
  std::vector<std::pair<Key, Total>> entries_;
};

Estimate Less(const Estimate& whole, const Estimate& part) {
  return {.bytes = std::max(whole.bytes - part.bytes, 0.0),
          .objects = std::max(whole.objects - part.objects, 0.0),
          .bytes_variance = std::max(whole.bytes_variance - part.bytes_variance, 0.0),
          .objects_variance = std::max(whole.objects_variance - part.objects_variance, 0.0)};
}

template <typename T>
bool Agrees(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

size_t IndexOf(Domain domain) { return static_cast<size_t>(domain); }

// The bulk of a recording, which is not kept.
struct Bulk {
  std::vector<model::Module> modules;
  std::vector<model::Node> nodes;
  std::vector<model::PythonNode> python_nodes;
  std::vector<model::PythonCode> python_code;
  std::vector<model::Stack> stacks;
  std::vector<model::LiveBlock> live_blocks;
  std::vector<model::Event> events;
  std::vector<bool> brought_before;  // by live block: inherited, and another child has it too

  explicit Bulk(model::Recording* from)
      : modules(std::exchange(from->modules, {})),
        nodes(std::exchange(from->native_nodes, {})),
        python_nodes(std::exchange(from->python_nodes, {})),
        python_code(std::exchange(from->python_code, {})),
        stacks(std::exchange(from->stacks, {})),
        live_blocks(std::exchange(from->live_blocks, {})),
        events(std::exchange(from->events, {})) {
    if (stacks.empty()) stacks.resize(1);  // the unknown stack
  }

  MergedStacks::Importer::Frames FramesOf(const model::Recording& recording) const {
    return {modules, nodes, python_nodes, python_code, recording.identity.executable};
  }

  const model::Stack& StackOf(model::StackId id) const {
    return stacks[id.value < stacks.size() ? id.value : 0];
  }
};

std::array<Estimate, 4> LiveOf(const model::HistoryPoint& point) {
  std::array<Estimate, 4> live;
  for (size_t i = 0; i < live.size(); ++i) live[i].bytes = point.domain_live[i];
  return live;
}

void Summarize(const Bulk& bulk, model::ProcessSummary* process) {
  process->name = ProcessName(process->recording.identity);
  for (size_t i = 0; i < bulk.live_blocks.size(); ++i) {
    const model::LiveBlock& block = bulk.live_blocks[i];
    const Estimate estimate = block.ToEstimate();
    const Domain domain = bulk.StackOf(block.stack).domain;
    process->live[IndexOf(domain)] += estimate;
    if (block.inherited) process->inherited += estimate;
    if (bulk.brought_before[i]) process->counted_elsewhere += estimate;
  }
  for (const model::Stack& stack : bulk.stacks) {
    process->peak[IndexOf(stack.domain)] += stack.peak;
    process->allocated[IndexOf(stack.domain)] += stack.allocated;
  }
}

// What the reader of a report must know about a recording, in words; the reader's own warnings
// first.
std::vector<std::string> WarningsOf(const model::Recording& recording) {
  std::vector<std::string> warnings = recording.warnings;
  const auto ended = [&](absl::string_view why) {
    warnings.push_back(
        absl::StrCat("the recording ends before the process does: ", why,
                     recording.recording_end_errno != 0
                         ? absl::StrCat(" (error ", recording.recording_end_errno, ")")
                         : ""));
  };
  switch (recording.recording_end) {
    case model::RecordingEnd::kNone:
      break;
    case model::RecordingEnd::kDiskFull:
      ended("the disk or the quota was full");
      break;
    case model::RecordingEnd::kRemap:
      ended("the kernel refused a mapping");
      break;
    case model::RecordingEnd::kIoError:
      ended("the file system reported an error");
      break;
    case model::RecordingEnd::kUnknown:
      ended("for a reason that this program does not know");
      break;
  }
  if (const std::string& walk = recording.identity.python_walk; !walk.empty() && walk != "full")
    warnings.push_back(absl::StrCat("Python's frames are not in the stacks: ", walk));
  if (const std::string& domain = recording.identity.python_domain; !domain.empty() && domain != "hooked")
    warnings.push_back(absl::StrCat("Python's small objects are not sampled as such: ", domain));
  for (const std::string& library : recording.identity.arrow) {
    if (!absl::EndsWith(library, ": recorded")) {
      warnings.push_back(absl::StrCat("Arrow's memory is not wholly in the picture: ", library));
    }
  }
  for (const std::string& note : recording.identity.notes) warnings.push_back(note);
  return warnings;
}

}  // namespace

struct Aggregator::State {
  explicit State(Options o) : options(std::move(o)) {}

  void FindBroughtBefore(const model::Recording& recording, Bulk* bulk);
  void AddLive(const Bulk& bulk, const model::Recording& recording, uint32_t process);
  void AddStacks(const Bulk& bulk, const model::Recording& recording, uint32_t process);
  void AddTopStack(const Bulk& bulk, const model::Recording& recording);
  void AddSteadyGrowth(const Bulk& bulk, const model::Recording& recording);
  void AddPoint(const Bulk& bulk, const model::Recording& recording,
                const model::HistoryPoint& point, uint32_t process);
  void AddGrowth(const Bulk& bulk, const model::Recording& recording, const Growth& growth,
                 uint32_t process, model::GrowthWindow* window);
  void AddAllocateEvents(const Bulk& bulk, const model::Recording& recording, uint32_t process);
  Key KeyOf(const Bulk& bulk, model::StackId stack, MergedStacks::Importer* importer,
            uint32_t process, ThreadId thread) const;
  bool IsGrowth() const {
    return options.value == model::Value::kGrown || options.value == model::Value::kLast;
  }
  std::optional<LiveMoment> TurnBack(model::Recording* recording, model::MomentShown* shown) const;
  std::optional<Growth> GrowthOf(const model::Recording& recording) const;
  const model::HistoryPoint* PointOf(const model::Recording& recording) const;
  bool ByThread() const { return aggregator::ByThread(options); }
  ThreadId ThreadOf(const model::Recording& recording, uint32_t process, uint32_t thread,
                    uint64_t time_ns, bool inherited);
  std::vector<std::string> ProcessLabels() const;
  std::vector<std::string> ThreadLabels(const std::vector<std::pair<Key, Total>>& entries,
                                        Namer* namer);

  const Options options;
  MergedStacks merged;
  Threads threads;  // if asked for by thread
  Totals totals;
  // A sampled block, in whatever processes it is live: boot, address and moment of allocation.
  using BlockKey = std::tuple<model::RecordingId, uint64_t, uint64_t>;

  std::map<model::RecordingId, Totals> inherited;  // by the parent, whose they are if it is given
  std::set<BlockKey> inherited_blocks;             // counted in `inherited`
  std::set<model::RecordingId> ids;
  std::vector<model::ProcessSummary> processes;
  struct Top {
    Leaves leaves;
    Estimate estimate;
  };
  std::vector<std::optional<Top>> tops;      // by process
  struct Steady {
    size_t process;
    Leaves leaves;
    model::SteadySite site;
  };
  std::vector<Steady> steady;
  std::vector<model::Recording> bystanders;  // not asked for; they may know how others ended
  std::vector<std::string> warnings;
  double event_bytes = 0, allocated_bytes = 0;  // how much of what was allocated the events cover
};

Key Aggregator::State::KeyOf(const Bulk& bulk, model::StackId id, MergedStacks::Importer* importer,
                             uint32_t process, ThreadId thread) const {
  const model::Stack& stack = bulk.StackOf(id);
  Key key;
  key.domain = stack.domain;
  if (&stack == &bulk.stacks.front() || (stack.cut && stack.HasNoFrames())) {
    key.flags = Key::kUnknownStack;
  } else {
    key.leaf = importer->ImportNative(stack.native_leaf);
    key.python_leaf = importer->ImportPython(stack.python_leaf);
    key.behalf_leaf = importer->ImportPython(stack.behalf_leaf);
    key.flags = static_cast<uint8_t>((stack.truncated ? Key::kTruncated : 0) |
                                     (stack.broken ? Key::kBroken : 0) |
                                     (stack.cut ? Key::kCut : 0));
  }
  if (options.by == By::kProcess || options.by == By::kThread) key.process = process;
  key.thread = thread;
  return key;
}

ThreadId Aggregator::State::ThreadOf(const model::Recording& recording, uint32_t process,
                                     uint32_t thread, uint64_t time_ns, bool inherited_block) {
  if (options.by != By::kThread) return {};
  return inherited_block ? threads.FindInherited(process)
                         : threads.Find(recording, process, thread, time_ns);
}

void Aggregator::State::FindBroughtBefore(const model::Recording& recording, Bulk* bulk) {
  bulk->brought_before.resize(bulk->live_blocks.size());
  for (size_t i = 0; i < bulk->live_blocks.size(); ++i) {
    const model::LiveBlock& block = bulk->live_blocks[i];
    if (!block.inherited) continue;
    bulk->brought_before[i] =
        !inherited_blocks.emplace(recording.boot_id, block.address, block.time_ns).second;
  }
}

void Aggregator::State::AddLive(const Bulk& bulk, const model::Recording& recording,
                                uint32_t process) {
  MergedStacks::Importer importer(&merged, bulk.FramesOf(recording));
  for (size_t i = 0; i < bulk.live_blocks.size(); ++i) {
    const model::LiveBlock& block = bulk.live_blocks[i];
    if (bulk.brought_before[i]) continue;
    if (!Agrees(options.where.domains, bulk.StackOf(block.stack).domain)) continue;
    if (!Agrees(options.where.threads, block.thread)) continue;
    const ThreadId thread =
        ThreadOf(recording, process, block.thread, block.time_ns, block.inherited);
    const Key key = KeyOf(bulk, block.stack, &importer, process, thread);
    const uint64_t age =
        recording.last_event_ns > block.time_ns ? recording.last_event_ns - block.time_ns : 0;
    Totals& into = block.inherited ? inherited[recording.parent_id] : totals;
    into.Add(key, {block.ToEstimate(), age, 1});
  }
}

// Where an earlier moment is asked for: the recording's live blocks become those of then.
std::optional<LiveMoment> Aggregator::State::TurnBack(model::Recording* recording,
                                                      model::MomentShown* shown) const {
  if (!options.at) return std::nullopt;
  const uint64_t asked = MonotonicOf(*recording, *options.at);
  LiveMoment moment = LiveAt(*recording, asked);
  recording->live_blocks = std::move(moment.blocks);
  if (moment.source == LiveMoment::Source::kNothing) return moment;
  // The ages of blocks are as they were then.
  recording->last_event_ns = moment.time_ns;
  shown->known = true;
  shown->by_point = moment.source == LiveMoment::Source::kPoint;
  shown->realtime_ns = static_cast<uint64_t>(absl::ToUnixNanos(TimeOf(*recording, moment.time_ns)));
  shown->off_seconds = (static_cast<double>(moment.time_ns) - static_cast<double>(asked)) * 1e-9;
  if (shown->by_point) shown->unlisted = moment.point->unlisted_live;
  return moment;
}

std::optional<Growth> Aggregator::State::GrowthOf(const model::Recording& recording) const {
  if (options.value == model::Value::kGrown) {
    const uint64_t since =
        options.since ? MonotonicOf(recording, *options.since) : HalfLifeNs(recording);
    return since < LastSeenNs(recording) ? std::optional(GrowthSince(recording, since))
                                         : std::nullopt;
  }
  const bool last = options.value == model::Value::kLast;
  if (!last && (options.value != model::Value::kLive || options.at || ByThread()))
    return std::nullopt;
  const uint64_t since = LastPlateauNs(recording);
  return since != 0 ? std::optional(GrowthSince(recording, since)) : std::nullopt;
}

// The look at the process's memory that stands for what is shown: the last one, or the last before
// the moment that was asked for. Null: nobody had looked yet.
const model::HistoryPoint* Aggregator::State::PointOf(const model::Recording& recording) const {
  const uint64_t asked = options.at ? MonotonicOf(recording, *options.at) : UINT64_MAX;
  const model::HistoryPoint* last = nullptr;
  for (const model::HistoryPoint& point : recording.history)
    if (point.rss_known && point.time_ns <= asked) last = &point;
  return last;
}

void Aggregator::State::AddPoint(const Bulk& bulk, const model::Recording& recording,
                                 const model::HistoryPoint& point, uint32_t process) {
  MergedStacks::Importer importer(&merged, bulk.FramesOf(recording));
  for (const model::HistoryPoint::Held& held : point.stacks) {
    const model::Stack& stack = bulk.StackOf(held.stack);
    if (!Agrees(options.where.domains, stack.domain)) continue;
    const double mean =
        stack.allocated.objects > 0 ? stack.allocated.bytes / stack.allocated.objects : 0;
    const Estimate estimate{.bytes = held.bytes,
                            .objects = mean > 0 ? held.bytes / mean : 0,
                            .bytes_variance = held.bytes_variance,
                            .objects_variance = mean > 0 ? held.bytes_variance / (mean * mean) : 0};
    totals.Add(KeyOf(bulk, held.stack, &importer, process, {}), {estimate, 0, 0});
  }
  if (point.unlisted_live > 0 && options.where.domains.empty()) {
    Key key;
    key.flags = Key::kUnlisted;
    if (options.by == By::kProcess) key.process = process;
    totals.Add(key, {{.bytes = point.unlisted_live}, 0, 0});
  }
}

void Aggregator::State::AddGrowth(const Bulk& bulk, const model::Recording& recording,
                                  const Growth& growth, uint32_t process,
                                  model::GrowthWindow* window) {
  MergedStacks::Importer importer(&merged, bulk.FramesOf(recording));
  window->from_ns = growth.from_ns;
  window->from_realtime_ns =
      static_cast<uint64_t>(absl::ToUnixNanos(TimeOf(recording, growth.from_ns)));
  window->seconds = static_cast<double>(growth.to_ns - growth.from_ns) * 1e-9;
  for (uint32_t id = 0; id < growth.stacks.size(); ++id) {
    const StackGrowth& stack = growth.stacks[id];
    if (stack.came.bytes == 0 && stack.went.bytes == 0) continue;
    if (!Agrees(options.where.domains, bulk.StackOf({id}).domain)) continue;
    window->came += stack.came;
    window->went += stack.went;
    Total total;
    total.growth = {.came = stack.came,
                    .went = stack.went,
                    .byte_seconds = stack.byte_seconds,
                    .per_second = window->seconds > 0
                                      ? (stack.came.bytes - stack.went.bytes) / window->seconds
                                      : 0};
    if (options.value != model::Value::kLive) {
      total.oldest_ns = stack.oldest_ns;
      total.samples = stack.samples;
    }
    totals.Add(KeyOf(bulk, {id}, &importer, process, {}), total);
  }
  for (const model::HistoryPoint& point : recording.history) {
    if (point.time_ns == growth.from_ns) {
      window->live_before = point.live.bytes;
      window->rss_before = point.rss();
    }
    window->rss_after = point.rss();
    window->limit = point.cgroup_limit;
  }
}

void Aggregator::State::AddStacks(const Bulk& bulk, const model::Recording& recording,
                                  uint32_t process) {
  MergedStacks::Importer importer(&merged, bulk.FramesOf(recording));
  const bool peak = options.value == model::Value::kPeak;
  std::vector<Estimate> inherited_here(bulk.stacks.size()), brought_before(bulk.stacks.size());
  for (size_t i = 0; peak && i < bulk.live_blocks.size(); ++i) {
    const model::LiveBlock& block = bulk.live_blocks[i];
    if (!block.inherited || block.stack.value >= bulk.stacks.size()) continue;
    inherited_here[block.stack.value] += block.ToEstimate();
    if (bulk.brought_before[i]) brought_before[block.stack.value] += block.ToEstimate();
  }
  for (uint32_t i = 0; i < bulk.stacks.size(); ++i) {
    const model::Stack& stack = bulk.stacks[i];
    if (!Agrees(options.where.domains, stack.domain)) continue;
    const Estimate& whole = peak ? stack.peak : stack.allocated;
    if (whole.bytes == 0 && whole.objects == 0) continue;
    const Key key = KeyOf(bulk, {i}, &importer, process, {});
    const Estimate own = Less(whole, inherited_here[i]);
    totals.Add(key, {own, 0, stack.samples});
    const Estimate parents = Less(Less(whole, own), brought_before[i]);
    if (parents.bytes != 0 || parents.objects != 0)
      inherited[recording.parent_id].Add(key, {parents, 0, 0});
  }
}

void Aggregator::State::AddAllocateEvents(const Bulk& bulk, const model::Recording& recording,
                                          uint32_t process) {
  MergedStacks::Importer importer(&merged, bulk.FramesOf(recording));
  for (const model::Stack& stack : bulk.stacks) allocated_bytes += stack.allocated.bytes;
  for (const model::Event& event : bulk.events) {
    if (event.kind != model::Event::Kind::kAllocate) continue;
    model::LiveBlock block;
    block.size = event.size;
    block.weight = event.weight;
    const Estimate estimate = block.ToEstimate();
    event_bytes += estimate.bytes;
    if (!Agrees(options.where.domains, event.domain)) continue;
    if (!Agrees(options.where.threads, event.thread)) continue;
    const ThreadId thread = ThreadOf(recording, process, event.thread, event.time_ns, false);
    totals.Add(KeyOf(bulk, event.stack, &importer, process, thread), {estimate, 0, 1});
  }
}

void Aggregator::State::AddSteadyGrowth(const Bulk& bulk, const model::Recording& recording) {
  MergedStacks::Importer importer(&merged, bulk.FramesOf(recording));
  std::vector<SteadyStack> found = FindSteadyGrowth(recording.history, bulk.stacks,
                                                    bulk.python_nodes, bulk.python_code);
  constexpr size_t kMostSites = 8;
  if (found.size() > kMostSites) found.resize(kMostSites);
  for (const SteadyStack& one : found) {
    const model::Stack& stack = bulk.StackOf(one.stack);
    const auto since = absl::ToUnixNanos(TimeOf(recording, one.from_ns));
    steady.push_back({processes.size(),
                      {importer.ImportNative(stack.native_leaf),
                       importer.ImportPython(stack.python_leaf),
                       importer.ImportPython(stack.behalf_leaf)},
                      {.frame = {},
                       .cache = "",
                       .since_realtime_ns = static_cast<uint64_t>(since),
                       .seconds = static_cast<double>(one.to_ns - one.from_ns) * 1e-9,
                       .before = one.before,
                       .after = one.after,
                       .error = one.error,
                       .looks = one.looks}});
  }
}

void Aggregator::State::AddTopStack(const Bulk& bulk, const model::Recording& recording) {
  const std::optional<TopStack> top =
      FindTopStack(bulk.stacks, bulk.live_blocks, bulk.python_nodes, bulk.python_code);
  tops.emplace_back();
  if (!top || top->stack == model::StackId{}) return;
  MergedStacks::Importer importer(&merged, bulk.FramesOf(recording));
  const model::Stack& stack = bulk.StackOf(top->stack);
  tops.back() = {
      {importer.ImportNative(stack.native_leaf), importer.ImportPython(stack.python_leaf),
       importer.ImportPython(stack.behalf_leaf)},
      top->estimate};
}

Aggregator::Aggregator(Options options) : state_(std::make_unique<State>(std::move(options))) {}
Aggregator::~Aggregator() = default;

void Aggregator::Add(model::Recording recording, model::ProcessState process_state) {
  State& state = *state_;
  const Where& where = state.options.where;
  if (!Agrees(where.pids, recording.pid) || !Agrees(where.hosts, recording.identity.host)) {
    const Bulk left_out(&recording);
    state.bystanders.push_back(std::move(recording));
    return;
  }
  if (!recording.id.IsZero() && !state.ids.insert(recording.id).second) {
    state.warnings.push_back(
        absl::StrCat(recording.file, ": the same recording was given before; left out"));
    return;
  }
  for (const std::string& warning : WarningsOf(recording))
    state.warnings.push_back(absl::StrCat(recording.file, ": ", warning));
  const uint32_t process = static_cast<uint32_t>(state.processes.size());
  model::ProcessSummary summary;
  const std::optional<LiveMoment> moment = state.TurnBack(&recording, &summary.moment);
  const std::optional<Growth> growth = state.GrowthOf(recording);
  Bulk bulk(&recording);
  state.FindBroughtBefore(recording, &bulk);
  if (growth) state.AddGrowth(bulk, recording, *growth, process, &summary.growth);
  if (moment && moment->source == LiveMoment::Source::kPoint) {
    state.AddPoint(bulk, recording, *moment->point, process);
    summary.live = LiveOf(*moment->point);
  } else if (state.options.value == model::Value::kLive) {
    state.AddLive(bulk, recording, process);
  } else if (state.IsGrowth()) {
    // All of it is in what grew.
  } else if (state.ByThread()) {
    state.AddAllocateEvents(bulk, recording, process);
  } else {
    state.AddStacks(bulk, recording, process);
  }
  if (const model::HistoryPoint* const point = state.PointOf(recording))
    summary.memory = AccountOf(recording, bulk.live_blocks, bulk.stacks, *point);
  state.AddSteadyGrowth(bulk, recording);
  recording.threads.clear();
  recording.history.clear();
  recording.history.shrink_to_fit();
  summary.end.state = process_state;
  state.AddTopStack(bulk, recording);
  summary.recording = std::move(recording);
  Summarize(bulk, &summary);
  state.processes.push_back(std::move(summary));
}

// "gunicorn 1234", and as much more as is needed to tell it from the others.
std::vector<std::string> Aggregator::State::ProcessLabels() const {
  std::set<std::string> hosts;
  for (const model::ProcessSummary& process : processes)
    hosts.insert(process.recording.identity.host);
  std::map<std::string, int> uses;
  std::vector<std::string> labels;
  for (const model::ProcessSummary& process : processes) {
    const model::Recording& recording = process.recording;
    std::string label = absl::StrCat(process.name, " ", recording.pid);
    if (hosts.size() > 1) absl::StrAppend(&label, " on ", recording.identity.host);
    ++uses[label];
    labels.push_back(std::move(label));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (uses[labels[i]] == 1) continue;
    const auto began = static_cast<int64_t>(processes[i].recording.begin_realtime_ns);
    absl::StrAppend(
        &labels[i], " from ",
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixNanos(began), absl::UTCTimeZone()));
  }
  return labels;
}

// What each thread's group is called, by ThreadId; reads it off the stacks.
std::vector<std::string> Aggregator::State::ThreadLabels(
    const std::vector<std::pair<Key, Total>>& entries, Namer* namer) {
  for (const auto& [key, total] : entries) {
    std::vector<model::FrameId> frames;
    // Its own ones: on whose behalf it works says nothing of the thread.
    namer->Append({key.leaf, key.python_leaf, {}}, Native::kFull, false, &frames);
    threads.SawStack(key.thread, namer->Frames(frames), total.samples);
  }
  return threads.Name();
}

namespace {

// What each root has of the profile, largest in `unit` first; equal ones by name. `roots`: how many
// frames of each stack name it.
std::vector<model::Share> SharesOf(const model::Profile& profile, size_t roots, model::Unit unit) {
  std::map<std::string, Estimate> by_name;
  for (const model::Sample& sample : profile.samples) {
    std::string name;
    for (size_t i = 0; i < roots; ++i)
      absl::StrAppend(&name, i == 0 ? "" : " / ", profile.frames[sample.frames[i].value].function);
    by_name[name] += sample.estimate;
  }
  std::vector<model::Share> shares;
  for (auto& [name, estimate] : by_name) shares.push_back({name, estimate});
  std::stable_sort(shares.begin(), shares.end(), [&](const model::Share& a, const model::Share& b) {
    return unit == model::Unit::kBytes ? a.estimate.bytes > b.estimate.bytes
                                       : a.estimate.objects > b.estimate.objects;
  });
  return shares;
}

// What grew beyond doubt first, by amount; then the others, by amount.
void RankGrowth(std::vector<model::SiteGroup>* groups, model::Unit unit) {
  const auto step = [unit](const model::SiteGroup& group) {
    return StepOf(group.before, group.estimate, unit);
  };
  std::stable_sort(groups->begin(), groups->end(),
                   [&](const auto& a, const auto& b) { return step(a).amount > step(b).amount; });
  std::stable_partition(groups->begin(), groups->end(), [&](const auto& group) {
    return step(group).sigmas >= model::kFewestSigmas;
  });
}

// The groups of what grew since the last rise began, whatever else the profile shows.
std::vector<model::SiteGroup> Rising(const model::Profile& profile, model::Unit unit) {
  model::Profile growth;
  growth.compared = true;
  growth.frames = profile.frames;
  for (const model::Sample& sample : profile.samples) {
    if (sample.growth.came.bytes == 0 && sample.growth.went.bytes == 0) continue;
    growth.samples.push_back(sample);
    growth.samples.back().estimate = sample.growth.came;
    growth.samples.back().before = sample.growth.went;
  }
  std::vector<model::SiteGroup> groups = GroupOwnCode(growth, unit);
  if (groups.empty()) groups = GroupSites(growth, unit);
  RankGrowth(&groups, unit);
  for (model::SiteGroup& group : groups) group.sites.clear();  // of a profile that is gone
  return groups;
}

// Different addresses of one line are one frame: what became equal is added up.
void SortAndMerge(std::vector<model::Sample>* samples) {
  std::stable_sort(samples->begin(), samples->end(),
                   [](const model::Sample& a, const model::Sample& b) {
                     return std::tie(a.frames, a.domain) < std::tie(b.frames, b.domain);
                   });
  std::vector<model::Sample> merged;
  for (model::Sample& sample : *samples) {
    if (merged.empty() || merged.back().frames != sample.frames ||
        merged.back().domain != sample.domain) {
      merged.push_back(std::move(sample));
      continue;
    }
    merged.back().estimate += sample.estimate;
    merged.back().oldest_ns = std::max(merged.back().oldest_ns, sample.oldest_ns);
    merged.back().samples += sample.samples;
    merged.back().before += sample.before;
    merged.back().growth += sample.growth;
  }
  *samples = std::move(merged);
}

}  // namespace

model::Report Aggregator::Finish(SymbolizeFn symbolize, PythonLinesFn python_lines,
                                 absl::FunctionRef<void(size_t, size_t)> progress) {
  State& state = *state_;
  model::Report report;
  model::Profile& profile = report.profile;
  profile.value = state.options.value;
  profile.compared = state.IsGrowth();
  report.at = state.options.at_text;
  for (const auto& [parent, totals] : state.inherited) {
    if (state.ids.contains(parent)) continue;
    for (const auto& [key, total] : totals.entries()) state.totals.Add(key, total);
  }
  std::vector<std::pair<Key, Total>> entries;
  for (const auto& [key, total] : state.totals.entries())
    if (!total.IsNothing()) entries.emplace_back(key, total);

  Namer namer(state.merged);
  std::vector<Leaves> stacks;
  for (const auto& [key, total] : entries)
    stacks.push_back({key.leaf, key.python_leaf, key.behalf_leaf});
  for (const auto& top : state.tops)
    if (top) stacks.push_back(top->leaves);
  for (const auto& steady : state.steady) stacks.push_back(steady.leaves);
  namer.Name(stacks, symbolize, python_lines, progress);
  for (size_t i = 0; i < state.tops.size(); ++i) {
    std::vector<model::FrameId> frames;
    if (state.tops[i]) namer.Append(state.tops[i]->leaves, Native::kFull, false, &frames);
    if (!frames.empty())
      state.processes[i].top_site = {TellingFrame(namer.Frames(frames)), state.tops[i]->estimate};
  }
  for (auto& steady : state.steady) {
    std::vector<model::FrameId> frames;
    namer.Append(steady.leaves, Native::kFull, true, &frames);
    if (frames.empty()) continue;
    steady.site.frame = TellingFrame(namer.Frames(frames));
    steady.site.cache = CacheOf(namer.Frames(frames));
    state.processes[steady.process].growing.push_back(std::move(steady.site));
  }
  const std::vector<std::string> labels = state.ProcessLabels();
  std::vector<std::string> thread_labels;
  if (state.options.by == By::kThread) thread_labels = state.ThreadLabels(entries, &namer);
  for (const auto& [key, total] : entries) {
    model::Sample sample;
    const auto add = [&](std::string name) {
      sample.frames.push_back({namer.InternSynthetic(std::move(name))});
    };
    if (state.options.by == By::kProcess || state.options.by == By::kThread)
      add(labels[key.process]);
    if (state.options.by == By::kThread) add(thread_labels[key.thread.value]);
    if (state.options.by == By::kDomain) add(model::DomainName(key.domain));
    std::vector<model::FrameId> frames;
    const bool whole = namer.Append({key.leaf, key.python_leaf, key.behalf_leaf},
                                    state.options.native, state.options.internals, &frames);
    if (state.options.by == By::kView) {
      std::string view = ViewOf(namer.Frames(frames));
      add(view.empty() ? "[no request]" : std::move(view));
    }
    if (key.flags & Key::kUnlisted) add("[stacks that the history does not list]");
    if (key.flags & Key::kUnknownStack) add("[unknown stack]");
    if (key.flags & Key::kTruncated) add("[stack truncated]");
    if (key.flags & Key::kBroken && !whole) add("[stack broken]");
    sample.frames.insert(sample.frames.end(), frames.begin(), frames.end());
    if (key.flags & Key::kCut) add(std::string(kFolded));
    sample.domain = key.domain;
    sample.estimate = total.estimate;
    sample.oldest_ns = total.oldest_ns;
    sample.samples = total.samples;
    sample.growth = total.growth;
    if (profile.compared) {
      sample.estimate = total.growth.came;
      sample.before = total.growth.went;
    }
    profile.samples.push_back(std::move(sample));
  }
  namer.Finish(&profile);
  SortAndMerge(&profile.samples);
  if (!profile.compared) report.rising = Rising(profile, state.options.unit);
  // What held nothing any more was there for what rose, and went, alone.
  if (!profile.compared) {
    std::erase_if(profile.samples, [](const model::Sample& sample) {
      return sample.estimate.bytes == 0 && sample.estimate.objects == 0;
    });
  }
  for (const model::Sample& sample : profile.samples) {
    profile.total += sample.estimate;
    profile.domains[IndexOf(sample.domain)] += sample.estimate;
    profile.total_before += sample.before;
    profile.domains_before[IndexOf(sample.domain)] += sample.before;
  }

  profile.warnings = std::move(state.warnings);
  if (state.options.value == model::Value::kAllocated && state.ByThread()) {
    profile.warnings.push_back(absl::StrFormat(
        "threads are known for the recent past only: %.1f %% of the bytes allocated",
        state.allocated_bytes > 0 ? std::min(100 * state.event_bytes / state.allocated_bytes, 100.0)
                                  : 0.0));
  }
  report.processes = std::move(state.processes);
  for (model::ProcessSummary& process : report.processes)
    if (state.ids.contains(process.recording.parent_id))
      process.counted_elsewhere = process.inherited;
  std::stable_sort(report.processes.begin(), report.processes.end(),
                   [](const model::ProcessSummary& a, const model::ProcessSummary& b) {
                     const auto key = [](const model::Recording& r) {
                       return std::tie(r.begin_realtime_ns, r.identity.host, r.pid, r.id);
                     };
                     return key(a.recording) < key(b.recording);
                   });
  JoinEnds(state.bystanders, &report.processes);
  report.workers = FindWorkers(report.processes);
  report.findings = FindFindings(report);
  if (state.options.by != By::kNone) {
    report.by = ByName(state.options.by);
    report.shares = SharesOf(profile, state.options.by == By::kThread ? 2 : 1, state.options.unit);
  }
  report.sites = Sites(profile, state.options.unit);
  report.groups = GroupSites(profile, state.options.unit);
  report.own = GroupOwnCode(profile, state.options.unit);
  if (profile.compared) {
    RankGrowth(&report.groups, state.options.unit);
    RankGrowth(&report.own, state.options.unit);
  }
  return report;
}

}  // namespace heapecho::aggregator

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/output/dump.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace heapecho::output {
namespace {

const char* NameOf(model::ProcessEnd end) {
  switch (end) {
    case model::ProcessEnd::kRunning:
      return "none";
    case model::ProcessEnd::kExited:
      return "exited";
    case model::ProcessEnd::kExec:
      return "exec";
  }
  return "unknown";
}

const char* NameOf(model::RecordingEnd end) {
  switch (end) {
    case model::RecordingEnd::kNone:
      return "none";
    case model::RecordingEnd::kDiskFull:
      return "disk_full";
    case model::RecordingEnd::kRemap:
      return "remap";
    case model::RecordingEnd::kIoError:
      return "io_error";
    case model::RecordingEnd::kUnknown:
      return "unknown";
  }
  return "unknown";
}

// As it is where it can be told apart from its surroundings; else in quotes.
std::string Word(const std::string& value) {
  for (const char c : value) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\\') {
      return absl::StrCat("\"", absl::CHexEscape(value), "\"");
    }
  }
  return value.empty() ? "\"\"" : value;
}

class Writer {
 public:
  explicit Writer(absl::FunctionRef<void(absl::string_view)> write) : write_(write) {}
  ~Writer() { write_(text_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // A line that begins with `record`, to be continued by Add and closed by End.
  Writer& Begin(absl::string_view record) {
    text_.append(record.data(), record.size());
    return *this;
  }
  Writer& Add(absl::string_view key, uint64_t value) {
    absl::StrAppend(&text_, " ", key, "=", value);
    return *this;
  }
  Writer& Add(absl::string_view key, int32_t value) {
    absl::StrAppend(&text_, " ", key, "=", value);
    return *this;
  }
  Writer& Add(absl::string_view key, uint32_t value) { return Add(key, uint64_t{value}); }
  Writer& Add(absl::string_view key, absl::string_view name) {
    absl::StrAppend(&text_, " ", key, "=", name);
    return *this;
  }
  Writer& Add(absl::string_view key, const char* name) { return Add(key, absl::string_view(name)); }
  Writer& AddWord(absl::string_view key, const std::string& value) {
    absl::StrAppend(&text_, " ", key, "=", Word(value));
    return *this;
  }
  Writer& AddHex(absl::string_view key, uint64_t value) {
    absl::StrAppend(&text_, " ", key, "=0x", absl::Hex(value));
    return *this;
  }
  Writer& AddReal(absl::string_view key, double value) {
    absl::StrAppendFormat(&text_, " %s=%.6g", key, value);
    return *this;
  }
  // Totals exactly (they have a few binary digits behind the point), deviations to six digits.
  Writer& AddEstimate(absl::string_view key, const model::Estimate& estimate) {
    absl::StrAppendFormat(&text_, " %s_bytes=%.2f %s_bytes_error=%.6g", key, estimate.bytes, key,
                          estimate.BytesError());
    absl::StrAppendFormat(&text_, " %s_objects=%.2f %s_objects_error=%.6g", key, estimate.objects,
                          key, estimate.ObjectsError());
    return *this;
  }
  Writer& Raw(absl::string_view text) {
    text_.append(text.data(), text.size());
    return *this;
  }
  void End() {
    text_.push_back('\n');
    if (text_.size() < kPiece) return;
    write_(text_);
    text_.clear();
  }

 private:
  static constexpr size_t kPiece = 64 << 10;
  absl::FunctionRef<void(absl::string_view)> write_;
  std::string text_;
};

// What others than the sampler said of memory.
void DumpSources(const model::Recording& recording, Writer& out) {
  if (const model::CgroupMemory& group = recording.cgroup; group.time_ns != 0) {
    out.Begin("cgroup").Add("time_ns", group.time_ns).Add("peak", group.peak);
    out.Add("anon", group.anon).Add("file", group.file).Add("shmem", group.shmem);
    out.Add("inactive_file", group.inactive_file).Add("kernel", group.kernel);
    out.Add("slab", group.slab).Add("page_tables", group.page_tables);
    out.Add("kernel_stack", group.kernel_stack).Add("sock", group.sock);
    out.Add("limit_hits", group.limit_hits).End();
  }
  if (recording.allocator_asked != 0) {
    out.Begin("allocator").Add("time_ns", recording.allocator_ns);
    out.Add("took_ns", recording.allocator_took_ns).Add("asked", recording.allocator_asked).End();
  }
}

void DumpHeader(const model::Recording& recording, Writer& out) {
  out.Begin("recording").AddWord("file", recording.file).Add("file_bytes", recording.file_bytes);
  out.Add("disk_bytes", recording.disk_bytes).Add("budget", recording.budget).End();
  out.Begin("process")
      .Add("id", recording.id.ToHex())
      .Add("parent_id", recording.parent_id.ToHex());
  out.Add("boot_id", recording.boot_id.ToHex())
      .Add("pid", recording.pid)
      .Add("ppid", recording.ppid);
  out.Add("uid", recording.uid).Add("pid_namespace", recording.pid_namespace);
  out.Add("start_ticks", recording.start_ticks).Add("threads_seen", recording.threads_seen);
  out.Add("threads_at_most", recording.threads_at_most).End();
  out.Begin("clock").Add("process_start_ns", recording.process_start_ns);
  out.Add("begin_ns", recording.begin_ns).Add("begin_realtime_ns", recording.begin_realtime_ns);
  out.Add("begin_boottime_ns", recording.begin_boottime_ns)
      .Add("forked_at_ns", recording.forked_at_ns);
  out.Add("last_event_ns", recording.last_event_ns).Add("peak_ns", recording.peak_ns).End();
  out.Begin("end").Add("process", NameOf(recording.process_end));
  out.Add("exit_status", recording.exit_status).Add("process_end_ns", recording.process_end_ns);
  out.Add("recording", NameOf(recording.recording_end)).Add("errno", recording.recording_end_errno);
  out.Add("recording_end_ns", recording.recording_end_ns).End();
  if (recording.keeping != model::Keeping::kMapped) {
    out.Begin("written").Add("why", recording.keeping == model::Keeping::kAsked ? "asked" : "file-system");
    out.Add("pause_ns", recording.write_pause_ns).Add("longest_ns", recording.write_longest_ns);
    out.Add("events_complete_ns", recording.events_complete_to_ns).End();
  }
  if (recording.looked_ns != 0) {
    out.Begin("look").Add("time_ns", recording.looked_ns).Add("peak_rss", recording.peak_rss);
    out.Add("cgroup_current", recording.cgroup_current);
    out.Add("cgroup_limit", recording.cgroup_limit);
    out.Add("longest_ns", recording.look_longest_ns).End();
  }
  DumpSources(recording, out);
  out.Begin("sampling").Add("interval_configured", recording.interval_configured);
  out.Add("interval_now", recording.interval_now).Add("samples", recording.samples);
  out.Add("own_ns", recording.own_ns).Add("cpu_ns", recording.cpu_ns);
  out.Add("python_arena_bytes", recording.python_arena_bytes).End();
  out.Begin("totals")
      .AddEstimate("allocated", recording.allocated)
      .AddEstimate("freed", recording.freed);
  out.AddEstimate("live", recording.live).AddEstimate("peak", recording.peak);
  out.Add("torn_live", recording.torn_live).Add("torn_events", recording.torn_events).End();
}

void DumpIdentity(const model::Identity& identity, Writer& out) {
  const auto line = [&out](const char* key, const std::string& value) {
    if (!value.empty()) out.Begin("identity").AddWord(key, value).End();
  };
  line("host", identity.host);
  line("container", identity.container);
  line("executable", identity.executable);
  for (const std::string& argument : identity.command) {
    out.Begin("identity").AddWord("argument", argument).End();
  }
  line("user", identity.user);
  line("working_directory", identity.working_directory);
  line("kernel", identity.kernel);
  line("libc", identity.libc);
  line("allocator", identity.allocator);
  for (const std::string& variable : identity.environment) line("environment", variable);
  line("cgroup", identity.cgroup);
  if (identity.cgroup_limit != 0) {
    out.Begin("identity").Add("cgroup_limit", identity.cgroup_limit).End();
  }
  line("python", identity.python_version);
  line("python_walk", identity.python_walk);
  for (const std::string& library : identity.arrow) line("arrow", library);
  line("python_domain", identity.python_domain);
  line("library_version", identity.library_version);
  for (const std::string& note : identity.notes) line("note", note);
}

void DumpChildren(const model::Recording& recording, Writer& out) {
  for (const model::ChildEnd& end : recording.child_ends) {
    out.Begin("reaped").Add("pid", end.pid).Add("time_ns", end.time_ns);
    out.Add("start_ticks", end.start_ticks).Add("exit_status", int32_t{end.exit_status});
    out.Add("signal", int32_t{end.signal}).Add("max_rss", end.max_rss);
    if (end.oom_kills_before) out.Add("oom_kills_before", *end.oom_kills_before);
    if (end.oom_kills_after) out.Add("oom_kills_after", *end.oom_kills_after);
    out.Add("cgroup_current", end.cgroup_current).Add("cgroup_limit", end.cgroup_limit).End();
  }
  for (const model::SentSignal& sent : recording.sent_signals) {
    out.Begin("sent").Add("signal", int32_t{sent.signal}).Add("pid", sent.pid);
    out.Add("time_ns", sent.time_ns).Add("start_ticks", sent.start_ticks);
    out.Add("failed", sent.failed ? "yes" : "no").End();
  }
}

void DumpModules(const std::vector<model::Module>& modules, Writer& out) {
  for (const model::Module& module : modules) {
    out.Begin("module").Add("id", uint32_t{module.id}).AddWord("path", module.path);
    out.AddWord("build_id", module.build_id).AddHex("bias", module.bias);
    out.AddHex("start", module.start).AddHex("end", module.end);
    out.Add("loaded_ns", module.loaded_ns).Add("unloaded_ns", module.unloaded_ns).End();
  }
}

const char* NameOf(model::LineTable table) {
  switch (table) {
    case model::LineTable::kNone:
      return "none";
    case model::LineTable::kLnotab:
      return "lnotab";
    case model::LineTable::kLines:
      return "lines";
    case model::LineTable::kLocations:
      return "locations";
  }
  return "none";
}

void DumpPythonCode(const std::vector<model::PythonCode>& codes, Writer& out) {
  for (size_t i = 1; i < codes.size(); ++i) {
    const model::PythonCode& code = codes[i];
    out.Begin("code").Add("index", uint64_t{i}).AddWord("name", code.name);
    out.AddWord("file", code.file).Add("first_line", code.first_line);
    out.Add("table", NameOf(code.table))
        .AddWord("table_bytes", absl::BytesToHexString(code.table_bytes));
    out.End();
  }
}

void DumpPythonFrames(const model::Recording& recording, uint32_t leaf, absl::string_view what,
                      Writer& out) {
  for (uint32_t at = leaf; at != 0; at = recording.python_nodes[at].parent) {
    const model::PythonNode& node = recording.python_nodes[at];
    out.Begin(what).Raw(node.code == 0 ? "unknown" : absl::StrCat("code-", node.code));
    if (node.instruction != model::PythonNode::kNoInstruction)
      out.Raw(absl::StrCat("+", node.instruction));
    out.Raw(node.group_entry ? " entry" : "").End();
  }
}

void DumpStacks(const model::Recording& recording, Writer& out) {
  std::vector<std::string> names(recording.modules.empty() ? 1 : recording.modules.back().id + 1);
  for (const model::Module& module : recording.modules) {
    const std::string base = module.path.substr(module.path.rfind('/') + 1);
    names[module.id] = base.empty() ? absl::StrCat("module-", module.id) : Word(base);
  }
  for (size_t i = 0; i < recording.stacks.size(); ++i) {
    const model::Stack& stack = recording.stacks[i];
    out.Begin("stack").Add("id", uint64_t{i}).Add("domain", model::DomainName(stack.domain));
    out.Add("first_seen_ns", stack.first_seen_ns).Add("samples", stack.samples);
    out.AddEstimate("allocated", stack.allocated).AddEstimate("freed", stack.freed);
    out.AddEstimate("live", stack.live).AddEstimate("peak", stack.peak);
    std::vector<absl::string_view> flags;
    if (stack.truncated) flags.push_back("truncated");
    if (stack.broken) flags.push_back("broken");
    if (stack.cut) flags.push_back("cut");
    out.Add("flags", flags.empty() ? "none" : absl::StrJoin(flags, ","));
    out.End();
    for (uint32_t leaf = stack.native_leaf; leaf != 0; leaf = recording.native_nodes[leaf].parent) {
      const model::Node& node = recording.native_nodes[leaf];
      out.Begin("  frame ").Raw(names[node.module]).Raw(node.module == 0 ? "" : "+");
      out.Raw(absl::StrCat("0x", absl::Hex(node.address)));
      out.Raw(node.evaluates_python ? " evaluates" : "").End();
    }
    DumpPythonFrames(recording, stack.python_leaf, "  python ", out);
    DumpPythonFrames(recording, stack.behalf_leaf, "  behalf ", out);
  }
}

void DumpThreads(const std::vector<model::Thread>& threads, Writer& out) {
  for (const model::Thread& thread : threads) {
    out.Begin("thread").Add("id", thread.id).Add("ordinal", thread.ordinal);
    out.Add("first_seen_ns", thread.first_seen_ns).AddWord("name", thread.name).End();
  }
}

void DumpLive(const std::vector<model::LiveBlock>& blocks, Writer& out) {
  for (const model::LiveBlock& block : blocks) {
    out.Begin("live").AddHex("address", block.address).Add("size", block.size);
    out.AddReal("weight", block.weight)
        .Add("interval", block.interval)
        .Add("stack", block.stack.value);
    out.Add("thread", block.thread).Add("time_ns", block.time_ns);
    out.Add("inherited", block.inherited ? "yes" : "no").End();
  }
}

void DumpRanges(const std::vector<model::Range>& ranges, Writer& out) {
  for (const model::Range& range : ranges) {
    out.Begin("range").AddHex("start", range.start).AddHex("end", range.start + range.length);
    out.Add("kind", model::RangeKindName(range.kind));
    if (range.domain)
      out.Add(range.reserve ? "reserve_of" : "domain", model::DomainName(*range.domain));
    std::vector<absl::string_view> flags;
    if (range.seen) flags.push_back("seen");
    if (range.measured) flags.push_back("measured");
    out.Add("flags", flags.empty() ? "none" : absl::StrJoin(flags, ","));
    out.Add("time_ns", range.time_ns);
    if (range.weight != 0) {
      out.Add("counted", range.counted).AddReal("weight", range.weight);
      out.Add("stack", range.stack.value).Add("thread", range.thread);
    }
    out.End();
  }
}

void DumpEvents(const std::vector<model::Event>& events, Writer& out) {
  for (const model::Event& event : events) {
    const bool free = event.kind == model::Event::Kind::kFree;
    out.Begin(free ? "free" : "allocate").Add("time_ns", event.time_ns);
    out.AddHex("address", event.address).Add("size", event.size).AddReal("weight", event.weight);
    out.Add("interval", event.interval).Add("stack", event.stack.value).Add("thread", event.thread);
    out.Add("domain", model::DomainName(event.domain));
    if (free) out.Add("allocated_ns", event.allocated_ns);
    out.End();
  }
}

void DumpParts(const model::HistoryPoint::Parts& parts, Writer& out) {
  if (parts.allocators_known) {
    out.Begin("  allocators").Add("python_arenas", parts.python_arenas);
    out.Add("python_small", parts.python_small).End();
  }
  if (parts.malloc_free_known) out.Begin("  malloc").Add("free", parts.malloc_free).End();
  if (parts.presence_known) {
    out.Begin("  present").Add("malloc_heap", parts.malloc_heap);
    out.Add("arrow_reserve", parts.arrow_reserve).Add("own_private", parts.own_private);
    out.Add("own_file", parts.own_file).Add("stacks", parts.stacks);
    out.Add("file_private", parts.file_private).Add("untouched", parts.untouched);
    out.Add("shared_live", parts.shared_live).Add("inherited", parts.inherited).End();
  }
}

void DumpHistory(const std::vector<model::HistoryPoint>& history, Writer& out) {
  for (const model::HistoryPoint& point : history) {
    out.Begin("point").Add("time_ns", point.time_ns).Add("from_ns", point.from_ns);
    out.Add("merged", point.merged);
    out.Add("realtime_ns", point.realtime_ns).Add("boottime_ns", point.boottime_ns);
    out.Add("rss_anon", point.rss_anon).Add("rss_file", point.rss_file);
    out.Add("rss_shmem", point.rss_shmem).Add("swap", point.swap).Add("rss_most", point.rss_most);
    out.Add("cgroup_current", point.cgroup_current).Add("cgroup_limit", point.cgroup_limit);
    out.Add("cgroup_most", point.cgroup_most).Add("cgroup_oom_kills", point.cgroup_oom_kills);
    out.AddEstimate("live", point.live).AddReal("live_most", point.live_most);
    for (size_t i = 0; i < point.domain_live.size(); ++i) {
      out.AddReal(absl::StrCat("live_", model::DomainName(static_cast<model::Domain>(i))),
                  point.domain_live[i]);
    }
    out.AddReal("allocated", point.allocated).AddReal("freed", point.freed);
    out.Add("samples", point.samples).Add("dropped", point.dropped).Add("own_ns", point.own_ns);
    out.Add("cpu_ns", point.cpu_ns).Add("interval", point.interval).Add("threads", point.threads);
    out.AddReal("unlisted", point.unlisted_live).AddReal("unlisted_most", point.unlisted_most);
    out.Add("stacks", uint64_t{point.stacks.size()}).End();
    DumpParts(point.parts, out);
    for (const model::HistoryPoint::Held& held : point.stacks) {
      out.Begin("  held").Add("stack", held.stack.value).AddReal("bytes", held.bytes);
      out.AddReal("bytes_error", std::sqrt(held.bytes_variance)).End();
    }
  }
}

}  // namespace

void Dump(const model::Recording& recording, absl::FunctionRef<void(absl::string_view)> write) {
  Writer out(write);
  DumpHeader(recording, out);
  DumpIdentity(recording.identity, out);
  for (const model::Counter& counter : recording.counters) {
    out.Begin("counter").AddWord("name", counter.name).Add("value", counter.value).End();
  }
  for (const model::SectionInfo& section : recording.sections) {
    out.Begin("section").AddWord("name", section.name).Add("offset", section.offset);
    out.Add("size", section.size).Add("record_size", section.record_size);
    out.Add("records", section.records).End();
  }
  DumpChildren(recording, out);
  DumpModules(recording.modules, out);
  DumpPythonCode(recording.python_code, out);
  DumpStacks(recording, out);
  DumpThreads(recording.threads, out);
  DumpLive(recording.live_blocks, out);
  DumpRanges(recording.ranges, out);
  DumpEvents(recording.events, out);
  DumpHistory(recording.history, out);
  for (const std::string& warning : recording.warnings) {
    out.Begin("warning").AddWord("text", warning).End();
  }
}

std::string Dump(const model::Recording& recording) {
  std::string text;
  Dump(recording, [&text](absl::string_view piece) { text.append(piece.data(), piece.size()); });
  return text;
}

}  // namespace heapecho::output

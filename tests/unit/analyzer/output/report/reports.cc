// SPDX-License-Identifier: Apache-2.0
// A report made by hand; the contract is in the header.
#include "tests/unit/analyzer/output/report/reports.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace heapecho::output {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr double kMiB = 1 << 20;

model::Estimate MakeEstimate(double bytes, double objects, double bytes_error,
                             double objects_error) {
  return {.bytes = bytes,
          .objects = objects,
          .bytes_variance = bytes_error * bytes_error,
          .objects_variance = objects_error * objects_error};
}

model::ProcessSummary MakeProcess(uint8_t id, uint32_t pid, uint32_t ppid,
                                  model::ProcessState state, uint64_t seconds,
                                  const model::Estimate& live) {
  model::ProcessSummary process;
  process.name = "gunicorn";
  process.end.state = state;
  process.live[0] = live;
  process.peak[0] = MakeEstimate(2 * live.bytes, 2 * live.objects, 3000, 3);
  process.allocated[0] = MakeEstimate(40 * live.bytes, 40 * live.objects, 50000, 50);
  model::Recording& recording = process.recording;
  recording.file = "/var/tmp/heapecho/gunicorn-web-1-" + std::to_string(pid) + ".heapecho";
  recording.id.bytes.fill(id);
  recording.pid = pid;
  recording.ppid = ppid;
  recording.process_start_ns = 99 * kSecond;
  recording.begin_ns = 100 * kSecond;
  recording.begin_realtime_ns =
      (1'763'690'400 + uint64_t{id}) * kSecond;  // 2025-11-21T02:00:00Z and id
  recording.last_event_ns = recording.begin_ns + seconds * kSecond;
  process.end.time_ns = recording.last_event_ns;
  recording.interval_now = 524288;
  recording.samples = 1000U * id;
  recording.threads_seen = 1200U * id;
  recording.threads_at_most = 4U * (id - 1U);  // 0: not known
  recording.disk_bytes = 65536U * id;
  recording.live = process.live[0];
  recording.peak = process.peak[0];
  recording.allocated = process.allocated[0];
  recording.identity.host = "web-1";
  recording.identity.executable = "/usr/bin/python3.11";
  recording.identity.command = {"/usr/bin/python3", "/usr/local/bin/gunicorn", "-w", "2",
                                "shop.wsgi"};
  recording.counters = {{"no_scratch_buffer", 0}, {"stack_unknown", 0}, {"events_dropped", 0}};
  return process;
}

model::Frame MakeFrame(std::string function, std::string module, std::string file = "",
                       uint32_t line = 0) {
  model::Frame frame;
  frame.function = std::move(function);
  frame.module = std::move(module);
  frame.file = std::move(file);
  frame.line = line;
  return frame;
}

void AddSample(model::Report* report, const std::vector<uint32_t>& frames,
               const model::Estimate& estimate, uint64_t oldest_s, uint32_t interesting) {
  model::Profile& profile = report->profile;
  model::Sample sample;
  for (const uint32_t frame : frames) sample.frames.push_back({frame});
  sample.estimate = estimate;
  sample.oldest_ns = oldest_s * kSecond + 250'000'000;
  sample.samples = 12;
  const model::SampleId id{static_cast<uint32_t>(profile.samples.size())};
  profile.samples.push_back(sample);
  profile.total += estimate;
  profile.domains[0] += estimate;
  report->sites.push_back(id);
  for (model::SiteGroup& group : report->groups) {
    if (group.frame.value != interesting) continue;
    group.estimate += estimate;
    group.sites.push_back(id);
    return;
  }
  model::SiteGroup group;
  group.frame = {interesting};
  group.estimate = estimate;
  group.oldest_ns = sample.oldest_ns;
  group.sites = {id};
  report->groups.push_back(group);
}

}  // namespace

model::Report GunicornReport() {
  model::Report report;
  report.processes.push_back(MakeProcess(1, 4100, 1, model::ProcessState::kRunning, 7500,
                                         MakeEstimate(20 * kMiB, 20000, 2e5, 200)));
  report.processes.push_back(MakeProcess(2, 4101, 4100, model::ProcessState::kKilled, 800,
                                         MakeEstimate(812 * kMiB, 1.5e6, 1.2e7, 9000)));
  report.processes.push_back(
      MakeProcess(3, 4102, 4100, model::ProcessState::kExited, 45, MakeEstimate(0, 0, 0, 0)));
  model::ProcessSummary& killed = report.processes[1];
  killed.recording.parent_id = report.processes[0].recording.id;
  killed.recording.identity.container =
      "3f2a91c07b44d1e2f3a4b5c6d7e8f90112233445566778899aabbccddeeff001";
  killed.recording.identity.cgroup_limit = uint64_t{2} << 30;
  killed.recording.counters[1].value = 12345;
  killed.recording.torn_live = 1;
  killed.inherited = MakeEstimate(15 * kMiB, 15000, 1e5, 100);
  killed.counted_elsewhere = killed.inherited;
  report.processes[2].end.exit_status = 3;

  report.profile.frames = {
      MakeFrame("main", "python3.11"),                                    // 0
      MakeFrame("_PyEval_EvalFrameDefault", "python3.11"),                // 1
      MakeFrame("shop::leak(int)", "_shop.so", "/src/shop/leak.cc", 88),  // 2
      MakeFrame("operator new(unsigned long)", "libstdc++.so.6"),         // 3
      MakeFrame("0x1a2b", "libfoo.so"),                                   // 4
      MakeFrame("list_resize", "python3.11"),                             // 5
  };
  AddSample(&report, {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3},
            MakeEstimate(700 * kMiB, 1.2e6, 1.1e7, 8000), 780, 2);
  AddSample(&report, {0, 1, 2, 3}, MakeEstimate(100 * kMiB, 1e5, 1e6, 500), 30, 2);
  AddSample(&report, {0, 1, 5}, MakeEstimate(15 * kMiB, 2e5, 1e5, 50), 7400, 5);
  AddSample(&report, {0, 4}, MakeEstimate(2 * kMiB, 3, 1e5, 1), 0, 4);
  report.profile.warnings = {
      "/usr/lib/libfoo.so is not on this machine; its frames are shown by address"};
  return report;
}

model::Report DjangoReport() {
  model::Report report;
  report.processes.push_back(MakeProcess(1, 4100, 1, model::ProcessState::kKilled, 7500,
                                         MakeEstimate(70 * kMiB, 70000, 2e5, 200)));
  model::Identity& identity = report.processes[0].recording.identity;
  identity.python_version = "3.11.7";
  identity.python_walk = "full";
  const auto python = [](std::string function, std::string file, uint32_t line) {
    model::Frame frame = MakeFrame(std::move(function), "", std::move(file), line);
    frame.kind = model::Frame::Kind::kPython;
    return frame;
  };
  model::Frame import;
  import.kind = model::Frame::Kind::kSynthetic;
  import.function = "[import]";
  report.profile.frames = {
      python("SyncWorker.handle_request",
             "/venv/lib/python3.11/site-packages/gunicorn/workers/sync.py", 178),  // 0
      python("Orders.get", "/srv/shop/orders/views.py", 88),                       // 1
      python("Orders.get", "/srv/shop/orders/views.py", 91),                       // 2
      python("loads", "/usr/lib/python3.11/json/__init__.py", 346),                // 3
      MakeFrame("new_dict", "libpython3.11.so.1.0"),                               // 4
      MakeFrame("list_resize", "libpython3.11.so.1.0"),                            // 5
      import,                                                                      // 6
  };
  AddSample(&report, {0, 1, 3, 4}, MakeEstimate(40 * kMiB, 40000, 1e5, 100), 780, 4);
  AddSample(&report, {0, 2, 5}, MakeEstimate(20 * kMiB, 20000, 1e5, 100), 30, 5);
  AddSample(&report, {6, 5}, MakeEstimate(10 * kMiB, 10000, 1e5, 100), 7000, 5);
  for (const uint32_t site : {0U, 1U}) {
    const model::Sample& sample = report.profile.samples[site];
    model::SiteGroup group;
    group.frame = sample.frames[1];
    group.estimate = sample.estimate;
    group.oldest_ns = sample.oldest_ns;
    group.sites = {{site}};
    report.own.push_back(group);
  }
  return report;
}

model::Report HostileReport() {
  model::Report report;
  report.processes.push_back(MakeProcess(1, 7, 1, model::ProcessState::kUnknown, 1, {}));
  model::ProcessSummary& process = report.processes[0];
  process.name = "a\033[2J";
  process.recording.file = "r\"\n.heapecho";
  process.recording.identity.host = "h\x01";
  process.recording.identity.command = {"a\nb", "\xff\xfe"};
  process.recording.begin_realtime_ns = UINT64_MAX;
  process.recording.last_event_ns = UINT64_MAX;
  process.recording.counters = {{"c\t", UINT64_MAX}};
  process.live[3] = MakeEstimate(1e300, 1e300, 1e300, 1e300);
  report.profile.frames = {MakeFrame("f\n\033\"\\", "\xc3", "a\rb", UINT32_MAX)};
  AddSample(&report, {0}, MakeEstimate(1e300, 1e-300, 1e300, 0), UINT64_MAX / kSecond - 1, 0);
  report.profile.warnings = {"w\n\xff"};
  return report;
}

}  // namespace heapecho::output

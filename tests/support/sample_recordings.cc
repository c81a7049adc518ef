// SPDX-License-Identifier: Apache-2.0
#include "tests/support/sample_recordings.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapecho::testing {

RecordingBuilder SmallRecording() {
  RecordingBuilder builder;
  wire::FileHeader& header = builder.header();
  for (uint8_t i = 0; i < sizeof header.parent_id; ++i)
    header.parent_id[i] = static_cast<uint8_t>(0xa0 + i);
  header.forked_at_ns = 950'000'000;
  header.pid_namespace = 4026531836;
  header.cpu_ns = 700'000'000;
  header.own_ns = 1'500'000;

  using wire::IdentityKey;
  builder.AddIdentity(IdentityKey::kHost, "web-1");
  builder.AddIdentity(IdentityKey::kExecutable, "/usr/bin/python3.11");
  builder.SetCommand({"python3", "-m", "gunicorn", "shop.wsgi"});
  builder.AddIdentity(IdentityKey::kCgroupLimit, "2147483648");
  builder.AddIdentity(IdentityKey::kEnvironment, "MALLOC_ARENA_MAX=2");
  builder.AddIdentity(IdentityKey::kLibraryVersion, "0.1.0");
  builder.SetCounter("events_dropped", 0);
  builder.SetCounter("unwind_truncated", 1);

  const uint16_t app =
      builder.AddModule("/usr/bin/python3.11", "0123456789abcdef", 0x400000, 0x600000);
  const uint16_t codec =
      builder.AddModule("/srv/app/codec.so", "fedcba98", 0x7f1200000000, 0x20000, 1'100'000'000);
  builder.UnloadModule(codec, 4'000'000'000);

  const uint32_t encode = builder.AddStack({{app, 0x1000}, {app, 0x2000}, {codec, 0x300}},
                                           wire::Domain::kMalloc, 0, 900'000'000);
  const uint32_t decode = builder.AddStack({{app, 0x1000}, {app, 0x2000}, {codec, 0x400}});
  const uint32_t deep = builder.AddStack({{app, 0x5000}, {0, 0x7fffdead0}}, wire::Domain::kMalloc,
                                         wire::kStackTruncated);

  builder.Inherit({.stack = encode, .address = 0x10000, .size = 1 << 20, .time_ns = 940'000'000});
  builder.Allocate({.stack = encode, .address = 0x20000, .size = 4096, .time_ns = 1'200'000'000});
  builder.Allocate({.stack = decode,
                    .address = 0x30000,
                    .size = 300'000,
                    .time_ns = 1'300'000'000,
                    .thread = 101});
  builder.Allocate({.stack = deep, .address = 0x40000, .size = 64, .time_ns = 1'400'000'000});
  builder.Free(0x30000, 1'500'000'000);
  return builder;
}

RecordingBuilder HistoryRecording() {
  RecordingBuilder builder = SmallRecording();
  const auto point = [](uint64_t time_ns, uint64_t live) {
    wire::HistoryPoint made = {};
    made.time_ns = made.boottime_ns = time_ns;
    made.realtime_ns = 1'735'689'600'000'000'000 + time_ns;
    made.rss_anon = live * 2;
    made.live_bytes = made.domain_live[0] = live * wire::kFixedPointOne;
    made.live_variance = 1e9;
    made.flags = wire::kHistoryRssKnown;
    made.threads = 2;
    return made;
  };
  wire::HistoryPoint merged = point(1'250'000'000, 1'500'000);
  merged.covers[0].from_ns = 1'050'000'000;
  merged.covers[0].merged = 3;
  merged.covers[0].rss_most = 4'000'000;
  builder.AddHistory({{merged, {{1, 5e8F, 1'400'000 * 256}}},
                      {point(1'100'000'000, 1 << 20), {{1, 0, (1 << 20) * 256}}},
                      {point(1'450'000'000, 1'800'000),
                       {{1, 5e8F, 1'200'000 * 256}, {2, 1e9F, 300'000 * 256}, {77, 0, 256}}}},
                     4);
  return builder;
}

RecordingBuilder TinyRecording() {
  RecordingBuilder builder;
  builder.AddIdentity(wire::IdentityKey::kHost, "web-1");
  builder.SetCounter("events_dropped", 3);
  const uint16_t app = builder.AddModule("/srv/app", "c0ffee", 0x400000, 0x10000);
  const uint32_t stack = builder.AddStack({{app, 0x1000}, {app, 0x2000}});
  // As large as the interval, so that the weight is 1 / (1 - 1/e).
  builder.Allocate(
      {.stack = stack, .address = 0x5000, .size = 512 * 1024, .time_ns = 2'000'000'000});
  return builder;
}

RecordingBuilder PythonRecording() {
  RecordingBuilder builder;
  builder.AddIdentity(wire::IdentityKey::kPython, "3.11.7");
  builder.AddIdentity(wire::IdentityKey::kPythonWalk, "full");
  const uint16_t app =
      builder.AddModule("/usr/bin/python3.11", "0123456789abcdef", 0x400000, 0x600000);
  const uint32_t main = builder.AddCode("main", "/srv/app.py", 5, wire::LineTable::kLnotab,
                                        {"\x00\x02\x04\x01\x08\xff", 6});
  const uint32_t view =
      builder.AddCode("View.get", "/srv/views.py", 40, wire::LineTable::kLocations,
                      "\x80\x01\xe9\x04\xf9\xf0\x03\x01\x01\x01");
  const uint32_t load = builder.AddCode("<lambda>", "<string>", 1, wire::LineTable::kLines,
                                        {"\x04\x00\x04\x80\x04\x01", 6});
  const uint32_t whole = builder.AddMixedStack(
      {{app, 0x1000}, {app, 0x2000, true}, {app, 0x3000}, {app, 0x2000, true}, {app, 0x4000}},
      {{main, 4}, {view, 2}, {load, 8, false}});
  const uint32_t cut = builder.AddMixedStack({{app, 0x2000, true}, {app, 0x5000}},
                                             {{main, 4}, {view, 2}, {9, wire::kNoInstruction}});
  const uint32_t native = builder.AddStack({{app, 0x1000}, {app, 0x6000}});
  builder.PutThread(100, 0, 1'000'000'000, "app");
  builder.PutThread(101, 1, 1'100'000'000, "worker-1");
  builder.PutThread(101, 2, 1'250'000'000, "app");  // the id came again
  builder.Allocate(
      {.stack = whole, .address = 0x10000, .size = 4096, .time_ns = 1'200'000'000, .thread = 101});
  builder.Allocate(
      {.stack = cut, .address = 0x20000, .size = 512, .time_ns = 1'300'000'000, .thread = 101});
  builder.Allocate({.stack = native, .address = 0x30000, .size = 64, .time_ns = 1'400'000'000});
  return builder;
}

RecordingBuilder LargeRecording(const LargeShape& shape) {
  RecordingBuilder builder;
  if (!shape.compact) {
    builder.SetBlockSize(32 << 10);
    builder.Reserve(wire::SectionKind::kNativeNodes, 8 << 20);
    builder.Reserve(wire::SectionKind::kStacks, 8 << 20);
    builder.Reserve(wire::SectionKind::kLive, 4 << 20);
    builder.Reserve(wire::SectionKind::kEvents, 43 << 20);
  }
  builder.SetCommand({"python3", "-m", "gunicorn", "shop.wsgi"});
  std::vector<uint16_t> modules;
  for (uint64_t i = 0; i < 60; ++i) {
    modules.push_back(builder.AddModule(absl::StrCat("/usr/lib/lib", i, ".so"), "00112233",
                                        0x7f0000000000 + (i << 24), 1 << 24));
  }

  // A small generator of its own, so that no library's version changes the file.
  uint64_t state = 1;
  const auto random = [&state](uint64_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % below;
  };
  std::vector<uint32_t> stacks;
  std::vector<RecordingBuilder::Address> frames;
  for (uint32_t i = 0; i < shape.stacks; ++i) {
    // The outer part is common to many, the innermost frames are a stack's own.
    frames.clear();
    for (uint64_t depth = 0; depth < 40; ++depth) {
      const uint64_t choice = depth < 20 ? 0 : random(depth < 36 ? 2 : 50);
      frames.push_back(
          {modules[(depth * 7 + choice) % modules.size()], 0x1000 + depth * 64 + choice * 4});
    }
    frames.push_back({modules[0], 0x100000 + i * 16});
    stacks.push_back(builder.AddStack(frames));
  }

  uint64_t now = 2'000'000'000, address = 0x500000000000;
  std::vector<uint64_t> live;
  for (uint32_t event = 0; event < shape.events; ++event) {
    now += 1000 + random(100'000);
    if (live.size() >= shape.live) {
      const size_t victim = random(live.size());
      builder.Free(live[victim], now, static_cast<uint32_t>(100 + random(8)));
      live[victim] = live.back();
      live.pop_back();
      continue;
    }
    address += 0x10000;
    builder.Allocate({.stack = stacks[random(stacks.size())],
                      .address = address,
                      .size = uint64_t{16} << random(16),
                      .time_ns = now,
                      .thread = static_cast<uint32_t>(100 + random(8)),
                      .interval = 64 << 10});
    live.push_back(address);
  }
  return builder;
}

}  // namespace heapecho::testing

// SPDX-License-Identifier: Apache-2.0
// What it takes to read one well-filled recording of the default budget.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "analyzer/model/recording.h"
#include "analyzer/output/dump.h"
#include "analyzer/reader/reader.h"
#include "tests/support/sample_recordings.h"

namespace heapecho {
namespace {

// A file of 64 MiB with 30,000 stacks, 30,000 live blocks and 500,000 events, made once and removed
// at exit.
class LargeFile {
 public:
  LargeFile() {
    std::string name =
        (std::filesystem::temp_directory_path() / "reader_benchmark-XXXXXX").string();
    const int fd = mkstemp(name.data());
    path_ = name;
    if (fd < 0 || close(fd) != 0 || !testing::LargeRecording({}).WriteFile(path_)) {
      std::perror(path_.c_str());
      std::exit(1);
    }
  }
  ~LargeFile() { std::filesystem::remove(path_); }
  LargeFile(const LargeFile&) = delete;
  LargeFile& operator=(const LargeFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const std::string& LargePath() {
  static const LargeFile file;
  return file.path();
}

void ReadLargeRecording(benchmark::State& state) {
  const std::string& path = LargePath();
  uint64_t disk_bytes = 0;
  for (auto unused : state) {
    absl::StatusOr<model::Recording> recording = reader::ReadRecording(path);
    if (!recording.ok() || !recording->warnings.empty()) {
      state.SkipWithError("the recording did not read");
      return;
    }
    disk_bytes = recording->disk_bytes;
    benchmark::DoNotOptimize(recording->events.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(disk_bytes) * state.iterations());
}
BENCHMARK(ReadLargeRecording)->Unit(benchmark::kMillisecond);

void CheckLargeRecording(benchmark::State& state) {
  const absl::StatusOr<model::Recording> recording = reader::ReadRecording(LargePath());
  if (!recording.ok()) {
    state.SkipWithError("the recording did not read");
    return;
  }
  for (auto unused : state) benchmark::DoNotOptimize(recording->CheckValid());
}
BENCHMARK(CheckLargeRecording)->Unit(benchmark::kMillisecond);

void DumpLargeRecording(benchmark::State& state) {
  const absl::StatusOr<model::Recording> recording = reader::ReadRecording(LargePath());
  if (!recording.ok()) {
    state.SkipWithError("the recording did not read");
    return;
  }
  size_t bytes = 0;
  for (auto unused : state) {
    output::Dump(*recording, [&bytes](absl::string_view piece) { bytes += piece.size(); });
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}
BENCHMARK(DumpLargeRecording)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heapecho

BENCHMARK_MAIN();

// SPDX-License-Identifier: Apache-2.0
// Damaged recordings give what they hold or one clear error, never a crash: see README.md for the
// long form.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/fuzz/exercise.h"
#include "tests/fuzz/mutate.h"
#include "tests/support/sample_recordings.h"

namespace heapecho::testing {
namespace {

uint64_t Rounds() {
  const char* text = std::getenv("HEAPECHO_FUZZ_ROUNDS");
  uint64_t rounds = 1000;
  if (text != nullptr && !absl::SimpleAtoi(text, &rounds)) ADD_FAILURE() << text << " is no number";
  return rounds;
}

TEST(DamagedRecording, OfPythonCutAtAnyByteGivesARecordingOrAClearError) {
  const std::vector<uint8_t> whole = PythonRecording().Build();
  Exerciser exerciser;
  for (size_t length = wire::kHeaderSize; length < whole.size(); ++length) {
    ASSERT_EQ(exerciser.Run(absl::MakeConstSpan(whole).first(length)), "") << "cut at " << length;
  }
}

TEST(DamagedRecording, OfPythonWithFlippedBitsGivesARecordingOrAClearError) {
  const std::vector<uint8_t> whole = PythonRecording().Build();
  Exerciser exerciser;
  const uint64_t rounds = Rounds();
  for (uint64_t seed = 0; seed < rounds; ++seed) {
    std::vector<uint8_t> bytes = whole;
    Mutator(seed).Damage(bytes);
    ASSERT_EQ(exerciser.Run(bytes), "") << "seed " << seed;
  }
  EXPECT_GT(exerciser.different(), rounds / 4);
}

TEST(DamagedRecording, OfAHistoryWithFlippedBitsGivesARecordingOrAClearError) {
  const std::vector<uint8_t> whole = HistoryRecording().Build();
  Exerciser exerciser;
  EXPECT_EQ(exerciser.Run(whole), "");
  const uint64_t rounds = Rounds();
  for (uint64_t seed = 0; seed < rounds; ++seed) {
    std::vector<uint8_t> bytes = whole;
    Mutator(seed).Damage(bytes);
    ASSERT_EQ(exerciser.Run(bytes), "") << "seed " << seed;
  }
  EXPECT_GT(exerciser.different(), rounds / 4);
}

// Any words at all, in records whose check is right: a hostile file has those.
TEST(DamagedRecording, WithNonsenseForRangesGivesARecordingOrAClearError) {
  const uint64_t rounds = Rounds();
  Exerciser exerciser;
  for (uint64_t seed = 0; seed < rounds; ++seed) {
    std::mt19937_64 random(seed);
    std::string bytes;
    constexpr uint64_t kRecords = 16;
    for (uint64_t slot = 0; slot < kRecords; ++slot) {
      uint64_t words[sizeof(wire::RangeRecord) / 8];
      for (uint64_t& word : words) word = random() >> random() % 64;
      wire::RangeRecord record;
      std::memcpy(&record, words, sizeof record);
      if (random() % 2 == 0) record.weight |= wire::kFixedPointOne;
      record.check = wire::CheckOf(record, slot);
      bytes.append(reinterpret_cast<const char*>(&record), sizeof record);
    }
    RecordingBuilder builder = SmallRecording();
    builder.AddSection(static_cast<uint32_t>(wire::SectionKind::kRanges), sizeof(wire::RangeRecord),
                       bytes, kRecords);
    ASSERT_EQ(exerciser.Run(builder.Build()), "") << "seed " << seed;
  }
}

TEST(DamagedRecording, CutAtAnyByteGivesARecordingOrAClearError) {
  const std::vector<uint8_t> whole = SmallRecording().Build();
  Exerciser exerciser;
  for (size_t length = 0; length < whole.size(); ++length) {
    const absl::Span<const uint8_t> cut = absl::MakeConstSpan(whole).first(length);
    // Inside padding one cut reads like the next.
    const bool in_padding = length >= 8 && std::all_of(cut.end() - 8, cut.end(),
                                                       [](uint8_t byte) { return byte == 0; });
    const bool fully = !in_padding || length % 64 == 0;
    ASSERT_EQ(fully ? exerciser.Run(cut) : exerciser.RunReader(cut), "") << "cut at " << length;
  }
  EXPECT_EQ(exerciser.errors() + exerciser.recordings(), whole.size());
  // The header alone is hopeless; from there on each cut gives what stands before it.
  EXPECT_GE(exerciser.recordings(), whole.size() - 4096);
}

TEST(DamagedRecording, WithFlippedBitsGivesARecordingOrAClearError) {
  const std::vector<uint8_t> whole = SmallRecording().Build();
  Exerciser exerciser;
  const uint64_t rounds = Rounds();
  for (uint64_t seed = 0; seed < rounds; ++seed) {
    std::vector<uint8_t> bytes = whole;
    Mutator(seed).Damage(bytes);
    ASSERT_EQ(exerciser.Run(bytes), "") << "seed " << seed;
  }
  // Damage that changed nothing would prove nothing.
  EXPECT_GT(exerciser.different(), rounds / 4);
  RecordProperty("errors", static_cast<int>(exerciser.errors()));
  RecordProperty("different", static_cast<int>(exerciser.different()));
}

TEST(DamagedRecording, OfSeveralBlocksWithFlippedBitsGivesARecordingOrAClearError) {
  const std::vector<uint8_t> whole =
      LargeRecording({.stacks = 20, .live = 20, .events = 600, .compact = true}).Build();
  Exerciser exerciser;
  const uint64_t rounds = Rounds() / 10;
  for (uint64_t seed = 0; seed < rounds; ++seed) {
    std::vector<uint8_t> bytes = whole;
    Mutator(seed).Damage(bytes);
    ASSERT_EQ(exerciser.Run(bytes), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace heapecho::testing

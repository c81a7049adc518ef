// SPDX-License-Identifier: Apache-2.0
// Damages a recording at random, reproducibly: what a bad disk does, and what someone who means
// harm does.
#pragma once

#include <cstdint>
#include <vector>

namespace heapecho::testing {

class Mutator {
 public:
  // The same seed damages the same bytes in the same way, on each machine.
  explicit Mutator(uint64_t seed) : state_(seed) {}

  // Flips up to a dozen bits, half of them where the file holds something. Every second time the
  // checks of header and records are then made right again, so that the damage passes for what the
  // process wrote; every fourth time whole words are set to values that lie at the edge of
  // something.
  void Damage(std::vector<uint8_t>& bytes);

 private:
  uint64_t Random(uint64_t below);

  uint64_t state_;
};

// Makes every check in the file agree with its content, as far as the section table can be
// followed.
void Reseal(std::vector<uint8_t>& bytes);

}  // namespace heapecho::testing

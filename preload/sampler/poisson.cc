// SPDX-License-Identifier: Apache-2.0
#include "preload/sampler/poisson.h"

namespace heapecho::sampler {
namespace {

constexpr double kLn2 = 0.693147180559945309417232121458;
constexpr double kLn2High = 0x1.62e42fefa0000p-1;  // low bits zero: k * kLn2High is exact for |k| < 2^11
constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;

double FromBits(uint64_t bits) {
  double value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

uint64_t ToBits(double value) {
  uint64_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

// In (0, 1]: the 53 highest bits, never zero.
double UniformAboveZero(uint64_t& state) {
  return static_cast<double>((NextRandom(state) >> 11) + 1) * 0x1p-53;
}

// exp(r) - 1 for |r| <= ln(2)/2 by its power series.
double ExpMinusOneNearZero(double r) {
  double sum = 0;
  for (int n = 14; n >= 1; --n) sum = (sum + 1) * r / n;
  return sum;
}

}  // namespace

uint64_t NextRandom(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double ExpOfMinus(double x) {
  if (!(x < 745)) return 0;
  const int k = static_cast<int>(x / kLn2 + 0.5);
  const double r = static_cast<double>(k) * kLn2High - x + static_cast<double>(k) * kLn2Low;
  const double mantissa = 1 + ExpMinusOneNearZero(r);
  // Two factors, so that results below the smallest normal number come out right.
  const int half = k / 2;
  return mantissa * FromBits(static_cast<uint64_t>(1023 - half) << 52) *
         FromBits(static_cast<uint64_t>(1023 - (k - half)) << 52);
}

double OneMinusExpOfMinus(double x) {
  return x < kLn2 / 2 ? -ExpMinusOneNearZero(-x) : 1 - ExpOfMinus(x);
}

double MinusLog(double u) {
  const uint64_t bits = ToBits(u);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double m = FromBits((bits & 0x000fffffffffffff) | 0x3ff0000000000000);  // [1, 2)
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  // log(m) = 2 artanh((m - 1) / (m + 1))
  const double s = (m - 1) / (m + 1);
  const double s2 = s * s;
  double series = 0;
  for (int n = 21; n >= 1; n -= 2) series = series * s2 + 1.0 / n;
  return -(2 * s * series) - static_cast<double>(exponent) * kLn2;
}

uint64_t DrawGap(uint64_t& state, uint64_t interval) {
  if (interval <= kEveryAllocation) return 0;
  // -log of at least 2^-53 is below 37, so the product fits for every interval up to kLargestInterval.
  return static_cast<uint64_t>(MinusLog(UniformAboveZero(state)) * static_cast<double>(interval));
}

double SampleProbability(uint64_t size, uint64_t interval) {
  if (size == 0) return 0;
  if (interval <= kEveryAllocation) return 1;
  return OneMinusExpOfMinus(static_cast<double>(size) / static_cast<double>(interval));
}

double SampleWeight(uint64_t size, uint64_t interval) {
  return size == 0 ? 0 : 1 / SampleProbability(size, interval);
}

bool StaysWhenDoubled(uint64_t& state, uint64_t size, uint64_t interval) {
  const double doubled = SampleProbability(size, 2 * interval);
  return UniformAboveZero(state) * SampleProbability(size, interval) <= doubled;
}

}  // namespace heapecho::sampler

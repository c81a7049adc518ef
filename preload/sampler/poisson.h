// SPDX-License-Identifier: Apache-2.0
// Which allocations are sampled, and what each sample stands for: a Poisson process over allocated bytes.
//
// Imagine points scattered over the bytes that a thread allocates, independently, one in `interval` bytes on
// average. An allocation is sampled when at least one point falls into it. The gap between points is
// exponential with mean `interval`, so a thread only counts bytes down to the next point; and since the
// exponential has no memory, the count may start anew after any allocation.
//
// An allocation of S bytes is sampled with p = 1 - exp(-S / interval). Its weight 1/p is the number of objects
// it stands for, S/p the number of bytes: the Horvitz-Thompson estimator, unbiased for any mixture of sizes
// because each sample is weighted by its own probability before anything is added up. The variance of a sum
// of weights is estimated by the sum of w^2 (1 - p).
//
// Pure functions: no clock, no thread-local data, no I/O, no libm (the library lives on libc alone).
#pragma once

#include <cstdint>

namespace heapecho::sampler {

// An interval of kEveryAllocation bytes or less samples every allocation, with weight one.
inline constexpr uint64_t kEveryAllocation = 1;
inline constexpr uint64_t kLargestInterval = uint64_t{1} << 30;

// Advances `state` (any value is a valid seed) and returns 64 uniform bits (SplitMix64, Steele et al. 2014).
uint64_t NextRandom(uint64_t& state);

// Whole bytes that may be allocated before the one that holds the next point: floor of an exponential with
// mean `interval`. An allocation of S bytes is sampled exactly when the count left is less than S.
uint64_t DrawGap(uint64_t& state, uint64_t interval);

// p: the probability that an allocation of `size` bytes is sampled. In (0, 1] for size > 0; 0 for size 0.
double SampleProbability(uint64_t size, uint64_t interval);

// 1/p, at least 1. Objects that one sample stands for; times `size`, the bytes. 0 for size 0.
double SampleWeight(uint64_t size, uint64_t interval);

// Whether a block that was sampled at `interval` stays when the interval is doubled: it does with probability
// p(2R)/p(R), so that what stays is distributed as if it had been sampled at 2R.
bool StaysWhenDoubled(uint64_t& state, uint64_t size, uint64_t interval);

// exp(-x) and 1 - exp(-x) for x >= 0, and -log(u) for u in (0, 1], to within a few units in the last place.
double ExpOfMinus(double x);
double OneMinusExpOfMinus(double x);
double MinusLog(double u);

}  // namespace heapecho::sampler

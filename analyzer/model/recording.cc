// SPDX-License-Identifier: Apache-2.0
// What the model's small types can say about themselves.
#include "analyzer/model/recording.h"

#include "analyzer/model/profile.h"

#include <algorithm>
#include <cmath>

namespace heapecho::model {

bool RecordingId::IsZero() const {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

std::string RecordingId::ToHex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

const char* DomainName(Domain domain) {
  switch (domain) {
    case Domain::kMalloc:
      return "malloc";
    case Domain::kPython:
      return "python";
    case Domain::kArrow:
      return "arrow";
    case Domain::kMmap:
      return "mmap";
  }
  return "unknown";
}

const char* RangeKindName(Range::Kind kind) {
  switch (kind) {
    case Range::Kind::kAnonymous:
      return "anonymous";
    case Range::Kind::kShared:
      return "shared";
    case Range::Kind::kFile:
      return "file";
    case Range::Kind::kStack:
      return "stack";
    case Range::Kind::kBrkHeap:
      return "heap";
    case Range::Kind::kOwn:
      return "own";
    case Range::Kind::kKernel:
      return "kernel";
    case Range::Kind::kOther:
      break;
  }
  return "other";
}

double Estimate::BytesError() const { return std::sqrt(bytes_variance); }

double Estimate::ObjectsError() const { return std::sqrt(objects_variance); }

Estimate& Estimate::operator+=(const Estimate& other) {
  bytes += other.bytes;
  objects += other.objects;
  bytes_variance += other.bytes_variance;
  objects_variance += other.objects_variance;
  return *this;
}

Estimate LiveBlock::ToEstimate() const {
  const double bytes = static_cast<double>(size);
  // w^2 (1 - p) with p = 1 / w; a weight of one is a certainty and varies by nothing.
  const double variance = weight * std::max(weight - 1, 0.0);
  return {.bytes = weight * bytes,
          .objects = weight,
          .bytes_variance = variance * bytes * bytes,
          .objects_variance = variance};
}

uint64_t CgroupMemory::Kernel() const {
  return std::max(kernel, slab + page_tables + kernel_stack) + sock;
}

Growth& Growth::operator+=(const Growth& other) {
  came += other.came;
  went += other.went;
  byte_seconds += other.byte_seconds;
  per_second += other.per_second;
  return *this;
}

}  // namespace heapecho::model

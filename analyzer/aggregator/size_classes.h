// SPDX-License-Identifier: Apache-2.0
// What an allocator hands out for a request: its headers and its rounding, by its published rules.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace heapecho::aggregator {

enum class Allocator : uint8_t { kGlibc, kJemalloc, kTcmalloc, kMimalloc };

// By the path of the module that serves malloc; what is not known is taken for the C library's.
Allocator AllocatorOf(absl::string_view path);

// Resident bytes that a live block of `size` takes beside its own: header and rounding, but for
// whole pages behind its end, which nobody touches. Less than two pages.
uint64_t OverheadOf(Allocator allocator, uint64_t size);

// What pymalloc (CPython 3.8 and later, 64 bits) takes for an object of up to 512 bytes.
uint64_t PythonObjectBytes(uint64_t size);

}  // namespace heapecho::aggregator

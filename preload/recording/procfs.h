// SPDX-License-Identifier: Apache-2.0
// Reading small text files of the kernel's by inline system calls, and picking words out of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/decimal.h"

namespace heapecho::recording {

// Reads at most `room` - 1 bytes of `path` and closes them with a NUL. Returns the bytes read; 0 on any
// failure (then `buffer` is ""). Signal-safe, allocates nothing, leaves errno alone, keeps no descriptor.
size_t ReadSmallFile(const char* path, char* buffer, size_t room);

// The target of a symbolic link, NUL-closed; 0 on failure.
size_t ReadLink(const char* path, char* buffer, size_t room);

// A decimal number at `text`, 0 if there is none; `end`, if given, is set behind it.
uint64_t ParseDecimal(const char* text, const char** end = nullptr);

using base::FormatDecimal;

// CLOCK_* in nanoseconds. Through libc's vdso call, which is no cancellation point.
uint64_t ClockNs(int clock);

// Fills `bytes` with random ones; falls back to clock and addresses where getrandom fails.
void FillRandom(void* bytes, size_t count);

}  // namespace heapecho::recording

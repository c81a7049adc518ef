// SPDX-License-Identifier: Apache-2.0
// Memory of our own, straight from the kernel: never from the heap that is being watched.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heapecho::base {

inline constexpr size_t kPageSize = 4096;

constexpr size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// Zeroed private pages, each present when it is first touched and no huge ones; nullptr when the kernel refuses. `bytes` is rounded up
// to pages. Named `name` in /proc/self/maps where the kernel can (PR_SET_VMA). Signal-safe.
void* MapPrivate(size_t bytes, const char* name);

// Whether the page of `address` is one that MapPrivate gave, among the first so many that are mapped at a time. Signal-safe.
bool IsOwnMemory(uintptr_t address);

// Gives back what MapPrivate or a file mapping gave. Null is ignored.
void Unmap(void* address, size_t bytes);

// Private pages back to what they were before they were touched: not there, and read as zeros. Whole pages.
void Forget(void* address, size_t bytes);

// As MapPrivate; the last `wiped` bytes are zeros in a forked child, which then shares nothing with its parent that is
// copied when either stores. Whole pages.
void* MapWipedInChild(size_t bytes, size_t wiped, const char* name);

// A zeroed page or more that forked children share; nullptr when the kernel refuses.
void* MapSharedMemory(size_t bytes);

// Maps `bytes` of descriptor `fd` shared, readable and writable; nullptr on failure.
void* MapShared(int fd, size_t bytes);

// Makes the pages of a shared file mapping present and writable, so that a later store cannot raise SIGBUS.
// Returns 0, or the errno that says why not (EFAULT: the file system is full; EINVAL: Linux before 5.14,
// where the caller reserves the whole file by fallocate instead).
int PopulateShared(void* address, size_t bytes);

// Makes the pages of a mapping present to be read, so that a load cannot raise SIGBUS; false where one cannot be had.
// True also before Linux 5.14, which cannot say.
bool PopulateForReading(const void* address, size_t bytes);

}  // namespace heapecho::base

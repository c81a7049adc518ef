// SPDX-License-Identifier: Apache-2.0
// Which threads there are: a record for each that is sampled, and the most that there were at once.
//
// From slow paths, on the thread that it is about; no lock, no allocation. Nothing is done between
// samples.
#pragma once

#include <cstdint>

#include "preload/hook/thread_state.h"

namespace heapecho::hook {

// The calling thread is being sampled: its first time it gets a record.
void SawThread(ThreadState& thread, uint64_t now);

// The calling thread had an event, of whatever kind. At every 256th its name is asked for again,
// since most threads are named after they began.
void RenewThreadName(const ThreadState& thread);

// Remembers how many threads there are, if they are the most. One system call, of half a
// microsecond: at each thread's first slow path, where making the thread has cost fifty times that,
// and now and then.
void LookAtThreads();

// What the file says of a record becomes what the table says.
void ThreadWritten(uint32_t record);

}  // namespace heapecho::hook

// SPDX-License-Identifier: Apache-2.0
// How other processes ended, as far as this one knows: what wait told it, which signals it sent.
//
// From the exported functions, in signal handlers too: no lock, no wait, no allocation, errno
// stays. A wait that tells nothing and a signal that does not end processes cost a few loads. In a
// vforked child nothing is noted.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace heapecho::hook {

// Before fork(): when a child begins at the earliest, in clock ticks after boot. After it, in the
// parent.
uint64_t AboutToFork();
void Forked(pid_t child, uint64_t earliest_ticks);

// Before a wait, which may tell of an end: the OOM killer's count is looked at once, to be compared
// with.
void AboutToWait();

// wait said how `child` ended: `status` as it gave it; `max_rss` in bytes, 0 unknown (waitid does not tell). The first
// killed child begins a recording that was idle. Where HEAPECHO_NOTICE asks for it, one line on
// stderr tells of a child that was killed.
void Reaped(pid_t child, int status, uint64_t max_rss);

// Before a signal is sent, since it may end the sender too: `target` as kill(2) takes it.
// Afterwards, if the call failed.
struct SignalNote {
  uint64_t sequence;  // 0: nothing was noted
  uint32_t slot;
};
SignalNote AboutToSignal(pid_t target, int signal);
void SignalFailed(const SignalNote& note);

// Whom a pidfd names; 0 if that cannot be told, or `signal` is none that is noted.
pid_t ProcessOfPidfd(int pidfd, int signal);

}  // namespace heapecho::hook

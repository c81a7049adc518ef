// SPDX-License-Identifier: Apache-2.0
// The process's life: how the library begins, becomes a forked child's, and learns of the end.
//
// From constructors, exported process functions and slow paths; no lock, no allocation, errno
// stays.
#pragma once

namespace heapecho::hook {

// The library's constructor: reads the options, maps the tables, and starts sampling.
void Initialize();

// Whether this is a process whose events are ours to keep; becomes the child's first time.
bool IsOurs();

// A dlclose is about to be made; it has been.
void LibraryMayGo();
void LibraryWent();

// In the child, before it does anything else. `locks_are_free`: libc's and the allocator's, as after fork() and not after
// _Fork().
void AfterForkInChild(bool locks_are_free);

// How the process is about to end. `status` is what exit was given.
void ProcessExits(int status);
void ProcessExecs();
void ExecFailed();

}  // namespace heapecho::hook

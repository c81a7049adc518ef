// SPDX-License-Identifier: Apache-2.0
// What CPython's object and memory domains are asked, counted and handed on to pymalloc.
#pragma once

namespace heapecho::hook {

// An interpreter among the program's libraries at start-up asks us from its first object on. From the constructor,
// after stack::Python has looked for it.
void HookPythonAtStart();

// An interpreter that runs by now: whether it still asks us, or, if it arrived later, may. From a slow path; does
// something once, in a thread that has the GIL.
void SettlePythonDomain();

}  // namespace heapecho::hook

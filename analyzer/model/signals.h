// SPDX-License-Identifier: Apache-2.0
// What a signal is called.
#pragma once

#include <string>

namespace heapecho::model {

// "SIGKILL"; "signal 34" where Linux has no name for it.
std::string SignalName(int signal);

}  // namespace heapecho::model
